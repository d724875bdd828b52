//go:build unix

package cli_test

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPoke connects as somebody who is no peer:
//
//	poke port PORT                   waits until the port takes connections
//	poke free PORT                   the port can be listened on, at once
//	poke silent PORT                 connects, says nothing, stays to the end
//	poke noise PORT                  sends bytes that mean nothing
//	poke upgrade PORT                becomes a WebSocket, says nothing, stays
//	poke secure FILE NAME            listens with TLS and answers 404; FILE gets the certificate,
//	                                 NAME a URL
//	poke CODE METHOD PORT [K: V]…    makes a request and checks the status
func cmdPoke(ts *testscript.TestScript, _ bool, args []string) {
	switch args[0] {
	case "port":
		pokePort(ts, args[1])
	case "free":
		l, err := net.Listen("tcp", "127.0.0.1:"+args[1])
		ts.Check(err)
		l.Close()
	case "silent":
		pokeStay(ts, args[1], "")
	case "noise":
		for i := range 5 {
			conn := pokeDial(ts, args[1])
			_, _ = conn.Write(noise(uint64(i), 4000)) // it may be closed on the way
			conn.Close()
		}
	case "secure":
		pokeSecure(ts, args[1], args[2])
	case "upgrade":
		pokeStay(ts, args[1], upgrade("localhost:"+args[1]))
	default:
		pokeRequest(ts, args)
	}
}

func upgrade(host string, lines ...string) string {
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: sync-directory.v1\r\n" + strings.Join(lines, "") + "\r\n"
}

func pokeSecure(ts *testscript.TestScript, file, name string) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // some do not trust it
	s.StartTLS()
	w := worldOf(ts)
	w.closers = append(w.closers, s.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(file), cert, 0o644))
	ts.Setenv(name, "wss"+strings.TrimPrefix(s.URL, "https"))
}

func pokeDial(ts *testscript.TestScript, port string) net.Conn {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, patience)
	ts.Check(err)
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

func pokePort(ts *testscript.TestScript, port string) {
	deadline := time.Now().Add(patience)
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody listens on %s: %v", port, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func pokeStay(ts *testscript.TestScript, port, say string) {
	conn := pokeDial(ts, port)
	w := worldOf(ts)
	w.closers = append(w.closers, func() { conn.Close() })
	if say == "" {
		return
	}
	_, err := io.WriteString(conn, say)
	ts.Check(err)
	status, err := bufio.NewReader(conn).ReadString('\n')
	ts.Check(err)
	if !strings.Contains(status, "101") {
		ts.Fatalf("upgrade: %s", status)
	}
}

func pokeRequest(ts *testscript.TestScript, args []string) {
	code, method, port := args[0], args[1], args[2]
	conn := pokeDial(ts, port)
	defer conn.Close()
	host, lines := "localhost:"+port, []string(nil)
	for _, h := range args[3:] {
		if v, ok := strings.CutPrefix(h, "Host: "); ok {
			host = v
		} else {
			lines = append(lines, h+"\r\n")
		}
	}
	request := upgrade(host, lines...)
	if method != "UPGRADE" {
		request = fmt.Sprintf("%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n%s\r\n", method, host, strings.Join(lines, ""))
	}
	_, err := io.WriteString(conn, request)
	ts.Check(err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	ts.Check(err)
	if got := fmt.Sprint(answer.StatusCode); got != code {
		ts.Fatalf("%s: status %s, want %s", method, got, code)
	}
}
