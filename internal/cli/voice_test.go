//go:build unix

package cli_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sync-directory/sync-directory/internal/cli"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// hostile is what somebody chooses who wants to be more than read.
var hostile = map[string]string{
	"c0":               "\x01\x02\x05\x0e\x0f\x1c",
	"del":              "\x7f\x7f",
	"nul":              "a\x00b",
	"tab":              "a\tb",
	"back":             "true\b\b\b\bforged",
	"return":           "\rforged",
	"newline":          "x\nforged line\n",
	"crlf":             "x\r\nforged line\r\n",
	"formfeed":         "\x0b\x0cforged",
	"colour":           "\x1b[31mred\x1b[0m",
	"clear":            "\x1b[2J\x1b[Hforged",
	"title":            "\x1b]0;title\a",
	"hyperlink":        "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
	"clipboard":        "\x1b]52;c;Zm9yZ2Vk\a",
	"device":           "\x1bP+q544e\x1b\\",
	"c1":               "\u009b31m\u0085forged\u009d0;t\u009c",
	"raw c1":           "\x9b31m\x85forged",
	"override":         "\u202egnp.exe\u202c",
	"isolates":         "\u2066a\u2069\u2067b\u2068c",
	"marks":            "\u200e\u200f\u061c",
	"zero width":       "a\u200bb\u200cc\u200dd\u2060e",
	"bom":              "\ufeffbom",
	"separators":       "a\u2028forged\u2029forged",
	"spaces":           "a\u00a0b\u2003c\u3000d",
	"tags":             "\U000e0001\U000e0041\U000e0042\U000e007f",
	"variations":       "a\ufe00b\ufe0fc\U000e0100d\U000e01ef",
	"fillers":          "a\u3164\u115f\u1160\uffa0\u034f\u2800",
	"combining":        "z" + strings.Repeat("\u0336\u0489\u20dd", 30),
	"overlong":         "\xc0\x8a\xe0\x80\x8aforged",
	"invalid":          "\xff\xfe\xed\xa0\x80\xf4\x90\x80\x80",
	"cut":              "half \xe2\x82",
	"quotes":           `a" level=ERROR msg="forged" b\`,
	"json":             `","level":"ERROR","msg":"forged`,
	"format":           "%s%d%n%!v(MISSING)",
	"long":             strings.Repeat("long ", 4000),
	"long and hostile": strings.Repeat("\x1b[2J", 4000),
}

// text is s as it fits where only UTF-8 does, of so many bytes at most.
func text(s string, limit int) string {
	s = strings.ToValidUTF8(s, "")
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}

// fileName is s as it fits into a directory.
func fileName(s string) string {
	s = strings.NewReplacer("\x00", "0", "/", "|").Replace(s)
	return s[:min(len(s), 255)]
}

// ours begins every line that the command prints, or logs.
var ours = regexp.MustCompile(`^(sync-directory: |time=\S+ level=[A-Z]+ msg=|\{"time":"|equal|NOT equal|changed: |[0-9.]+ [kMG]?B sent|tree digest )`)

// harmless fails if something that was printed does more than show itself, or takes more
// than a line that is ours.
func harmless(t *testing.T, what, out string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		marks := 0
		for i, r := range line {
			if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
				marks = 0
			}
			_, n := utf8.DecodeRuneInString(line[i:])
			switch {
			case r == utf8.RuneError && n == 1,
				r != ' ' && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S),
				unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point), r == '\u2800', marks > 4:
				t.Fatalf("%s: %U at %d of %.300q", what, r, i, line)
			}
		}
		if line != "" && !ours.MatchString(line) {
			t.Errorf("%s: a line that is not ours: %.300s", what, line)
		}
		if len(line) > 10<<10 {
			t.Errorf("%s: a line of %d bytes: %.300s", what, len(line), line)
		}
		if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
			t.Errorf("%s: no JSON: %.300s", what, line)
		}
	}
}

// speaking is a command that runs in this process.
type speaking struct {
	out     lockedBuffer
	signals chan os.Signal
	done    chan int
	logFile string
}

func speak(args ...string) *speaking {
	s := &speaking{signals: make(chan os.Signal, 1), done: make(chan int, 1)}
	if i := slices.Index(args, "--log-file"); i >= 0 {
		s.logFile = args[i+1]
	}
	// Not confined: this process is the tests, too.
	go func() { s.done <- cli.Main(append(args, "--no-sandbox"), &s.out, &s.out, s.signals) }()
	return s
}

// ends waits for the end, and returns the code and all that was printed and logged.
func (s *speaking) ends(t *testing.T) (code int, out string) {
	t.Helper()
	select {
	case code = <-s.done:
	case <-time.After(patience):
		t.Fatalf("no end: %.3000s", s.out.String())
	}
	out = s.out.String()
	if s.logFile != "" {
		log, err := os.ReadFile(s.logFile)
		must(t, err)
		out += string(log)
	}
	return code, out
}

// listening starts a command that listens, and returns where.
func listening(t *testing.T, args ...string) (*speaking, string) {
	t.Helper()
	port, err := freePort()
	must(t, err)
	s := speak(append(args, "--port", fmt.Sprint(port))...)
	for deadline := time.Now().Add(patience); !listens(port); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens: %s", s.out.String())
		}
	}
	return s, fmt.Sprintf("localhost:%d", port)
}

// inEachLog calls f with the flags of each way to log.
func inEachLog(t *testing.T, f func(t *testing.T, log []string)) {
	for name, log := range map[string][]string{
		"text": {"--log-level", "debug"},
		"json": {"--log-level", "debug", "--log-format", "json"},
		"file": {"--log-level", "debug", "--log-format", "json", "--log-file"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "file" {
				log = append(log, filepath.Join(t.TempDir(), "log"))
			}
			f(t, log)
		})
	}
}

// problems are what the other side may say of an entry: s in each place.
func problems(s string) []*wire.Problem {
	return []*wire.Problem{
		{Path: []byte(s), Operation: "read", Cause: "cause"},
		{Path: []byte("path"), Operation: text(s, 1<<10), Cause: text(s, 1<<10)},
	}
}

// sayAll says hello as a sender does that calls itself s, names problems with s, and ends
// the session for a reason that is s.
func sayAll(t *testing.T, addr, s string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := transport.Dial(ctx, "ws://"+addr, transport.DialOptions{})
	must(t, err)
	hello := peerHello(wire.Role_SENDER, wire.Version)
	hello.Program = text(s, 1<<10)
	for { // the listener may not be through with the session before
		_, err = wire.Greet(conn, hello)
		if err == nil {
			break
		}
		_ = conn.Close(wire.CloseNormal, "")
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		conn, err = transport.Dial(ctx, "ws://"+addr, transport.DialOptions{})
		must(t, err)
	}
	for _, p := range problems(s) {
		must(t, conn.Write(wire.Encode(p)))
	}
	_ = conn.Close(4025, text(s, 123))
}

// strayRequests makes requests with s in every place.
func strayRequests(t *testing.T, addr, s string) {
	t.Helper()
	for _, request := range []string{
		s + "\r\n\r\n",
		"GET /" + s + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + s + "\r\n\r\n",
		s + " / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		upgrade("localhost", "Origin: "+s+"\r\n"),
		upgrade("localhost", "Sec-WebSocket-Extensions: "+s+"\r\n", s+": "+s+"\r\n"),
		"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: " + s + "\r\nContent-Length: " + s + "\r\n\r\n",
		"GET / " + s + "\r\nHost: localhost\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		_, _ = io.WriteString(conn, request) // it may be closed on the way
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}

// TestListenerHearsHostileWords has a receiver that goes on hear everything hostile, from
// peers and from who is none.
func TestListenerHearsHostileWords(t *testing.T) {
	inEachLog(t, func(t *testing.T, log []string) {
		receiver, addr := listening(t, append(log, "--output-dir", filepath.Join(t.TempDir(), "out"), "--keep-running")...)
		for _, what := range slices.Sorted(maps.Keys(hostile)) {
			strayRequests(t, addr, hostile[what])
			sayAll(t, addr, hostile[what])
		}
		for deadline := time.Now().Add(patience); strings.Count(receiver.out.String(), "sync-directory: the other side: ") < len(hostile) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		receiver.signals <- os.Interrupt
		code, out := receiver.ends(t)
		harmless(t, "receiver", out)
		if n := strings.Count(out, "(on the other side)"); code != 20 || n != 2*len(hostile) {
			t.Errorf("code %d, %d problems told of %d", code, n, 2*len(hostile))
		}
		if n := strings.Count(out, "sync-directory: the other side: "); n != len(hostile) {
			t.Errorf("%d reasons told of %d", n, len(hostile))
		}
		for _, want := range []string{`read "x\nforged line\n": cause (on the other side)`, `the other side: \x1b[2J\x1b[Hforged (exit code 25)`, "session begins", "request refused"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing", want)
			}
		}
	})
}

// receiverThatSays is a receiver that calls itself s, names problems with it, and ends for
// that reason.
func receiverThatSays(t *testing.T, s func() string) (port string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listeners, err := transport.Listen(ctx, nil, 0, discard)
	must(t, err)
	served := make(chan error, 1)
	go func() {
		served <- transport.Serve(ctx, listeners, transport.ServeOptions{}, func(conn wire.Conn, _ transport.Caller) {
			s := s()
			_, err := wire.Welcome(conn, func(*wire.Hello) (*wire.Hello, error) {
				h := peerHello(wire.Role_RECEIVER, wire.Version)
				h.Program = text(s, 1<<10)
				return h, nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range problems(s) {
				_ = conn.Write(wire.Encode(p)) // the sender says what came
			}
			_ = conn.Close(4025, text(s, 123))
		})
	}()
	t.Cleanup(func() { cancel(); must(t, <-served) })
	_, port, err = net.SplitHostPort(listeners[0].Addr().String())
	must(t, err)
	return port
}

// TestDialerHearsHostileWords has a sender hear them from a receiver.
func TestDialerHearsHostileWords(t *testing.T) {
	inEachLog(t, func(t *testing.T, log []string) {
		in := t.TempDir()
		var says atomic.Value
		port := receiverThatSays(t, func() string { return says.Load().(string) })
		for what, s := range hostile {
			says.Store(s)
			code, out := speak(append(log, "--from", in, "--to", "ws://localhost:"+port)...).ends(t)
			harmless(t, what, out)
			if code != 25 || strings.Count(out, "(on the other side)") < 2 || !strings.Contains(out, "sync-directory: the other side: ") {
				t.Errorf("%s: code %d, %s", what, code, out)
			}
		}
	})
}

// answering answers every connection with what answer returns, and hangs up.
func answering(t *testing.T, listener net.Listener, answer func() string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			r := bufio.NewReader(conn)
			for line, err := "", error(nil); err == nil && line != "\r\n"; {
				line, err = r.ReadString('\n')
			}
			_, _ = io.WriteString(conn, answer()) // who does not want to hear it has gone
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { must(t, listener.Close()); <-done })
}

// TestDialerMeetsHostileServers has a sender dial what is no sync-directory and answers
// with everything hostile, in every place.
func TestDialerMeetsHostileServers(t *testing.T) {
	inEachLog(t, func(t *testing.T, log []string) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		var says atomic.Value
		answering(t, listener, func() string { return says.Load().(string) })
		in := t.TempDir()
		for what, s := range hostile {
			body := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(s), s)
			answers := []string{s, "HTTP/1.1 101 " + s + "\r\n" + s + "\r\n\r\n", "HTTP/1.1 200 " + s + "\r\n" + s + ": " + s + "\r\n" + body,
				"HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + s + "\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: " + s + "\r\n\r\n" + s}
			for _, status := range []string{"400 subprotocol ", "401 ", "403 ", "404 ", "407 ", "500 ", "502 "} {
				answers = append(answers, "HTTP/1.1 "+status+s+"\r\nWWW-Authenticate: "+s+"\r\n"+body)
				answers = append(answers, "HTTP/1.1 "+status+"words\r\n"+body)
			}
			for i, answer := range answers {
				if !*long && i%6 != len(what)%6 {
					continue
				}
				says.Store(answer)
				code, out := speak(append(log, "--from", in, "--to", "ws://"+listener.Addr().String(), "--contimeout", "60ms")...).ends(t)
				harmless(t, fmt.Sprintf("%s, answer %d", what, i), out)
				if code != 5 && code != 35 {
					t.Errorf("%s, answer %d: code %d, %s", what, i, code, out)
				}
			}
		}
	})
}

// TestDialerMeetsHostileCertificate has a certificate name whoever made it as somebody who
// wants to be more than read.
func TestDialerMeetsHostileCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	var names []string
	for _, s := range hostile {
		names = append(names, text(s, 40))
	}
	name := pkix.Name{CommonName: strings.Join(names, ""), Organization: names}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, Issuer: name, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"forged\nline\x1b[2J"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	must(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	must(t, err)
	answering(t, listener, func() string { return "" })
	inEachLog(t, func(t *testing.T, log []string) {
		_, port, err := net.SplitHostPort(listener.Addr().String())
		must(t, err)
		for _, host := range []string{"localhost", "127.0.0.1"} {
			code, out := speak(append(log, "--from", t.TempDir(), "--to", "wss://"+host+":"+port)...).ends(t)
			harmless(t, host, out)
			if code != 5 || !strings.Contains(out, "certificate") {
				t.Errorf("code %d, %s", code, out)
			}
		}
	})
}

// TestHostileNames has entries fail on both sides that are named as if they were more, and
// directories that are given so on the command line.
func TestHostileNames(t *testing.T) {
	inEachLog(t, func(t *testing.T, log []string) {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
		for _, s := range hostile {
			must(t, os.MkdirAll(in, 0o755))
			must(t, os.WriteFile(filepath.Join(in, fileName(s)), nil, 0o644))
			must(t, os.MkdirAll(filepath.Join(out, fileName(s), "something"), 0o755))
		}
		other := []string{"--log-level", "debug"}
		receiver, addr := listening(t, append(log, "--output-dir", out, "--no-delete")...)
		sender := speak(append(other, "--from", in, "--to", "ws://"+addr)...)
		for who, s := range map[string]*speaking{"receiver": receiver, "sender": sender} {
			code, said := s.ends(t)
			harmless(t, who, said)
			if n := strings.Count(said, "something of another type is there"); code != 23 || n != 2*len(hostile) { // for people, and in the log
				t.Errorf("%s: code %d, %d times entries are named, of %d", who, code, n, len(hostile))
			}
		}
		for what, s := range hostile {
			path := filepath.Join(dir, "missing", fileName(s))
			code, said := speak(append(log, "--from", path, "--to", "ws://"+addr)...).ends(t)
			harmless(t, what, said)
			if code != 3 || !strings.Contains(said, "no such file") {
				t.Errorf("%s: code %d, %s", what, code, said)
			}
		}
	})
}

// TestEndlessProblems has a sender name problems without end: the receiver prints as many
// as somebody may read, and counts the others.
func TestEndlessProblems(t *testing.T) {
	receiver, addr := listening(t, "--output-dir", filepath.Join(t.TempDir(), "out"))
	conn, err := transport.Dial(t.Context(), "ws://"+addr, transport.DialOptions{})
	must(t, err)
	_, err = wire.Greet(conn, peerHello(wire.Role_SENDER, wire.Version))
	must(t, err)
	const many = 8000
	for i := range many {
		path := fmt.Sprint(i, strings.Repeat("\x1b", 1000))
		must(t, conn.Write(wire.Encode(&wire.Problem{Path: []byte(path), Operation: "read", Cause: "cause"})))
	}
	nonsense(conn) // which is taken in after all of them
	code, out := receiver.ends(t)
	told := strings.Count(out, "(on the other side)")
	if code != 12 || told < 3000 || told > 5000 || len(out) > 17<<20 {
		t.Errorf("code %d, %d problems told in %d bytes", code, told, len(out))
	}
	if want := fmt.Sprintf("and %d,%03d more on the other side\n", (many-told)/1000, (many-told)%1000); !strings.Contains(out, want) {
		t.Errorf("not %q: %s", want, out[len(out)-300:])
	}
}

// TestManyProblems has ten thousand entries fail: each is named on both sides.
func TestManyProblems(t *testing.T) {
	dir, err := os.MkdirTemp(memory(), "problems")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	const many = 10_000
	for i := range many {
		if i%100 == 0 {
			must(t, os.MkdirAll(fmt.Sprintf("%s/%d", in, i/100), 0o755))
			must(t, os.MkdirAll(fmt.Sprintf("%s/%d", out, i/100), 0o755))
		}
		must(t, os.WriteFile(fmt.Sprintf("%s/%d/%d", in, i/100, i), nil, 0o644))
		must(t, os.Mkdir(fmt.Sprintf("%s/%d/%d", out, i/100, i), 0o755))
	}
	receiver, addr := listening(t, "--output-dir", out, "--no-delete")
	sender := speak("--from", in, "--to", "ws://"+addr)
	for who, s := range map[string]*speaking{"receiver": receiver, "sender": sender} {
		code, said := s.ends(t)
		if n := strings.Count(said, "something of another type is there"); code != 23 || n != many || strings.Contains(said, " more on the other side") {
			t.Errorf("%s: code %d, %d entries named of %d", who, code, n, many)
		}
	}
}

// TestEndlessSessions has a listener meet hundreds that leave at once, with a session and
// without: it says so a few times, and how often it did not.
func TestEndlessSessions(t *testing.T) {
	receiver, addr := listening(t, "--output-dir", filepath.Join(t.TempDir(), "out"), "--keep-running", "--log-level", "info")
	const many = 200
	for range many {
		conn, err := transport.Dial(t.Context(), "ws://"+addr, transport.DialOptions{})
		must(t, err)
		_ = conn.Close(4012, "no")
		sayAll(t, addr, "x")
	}
	time.Sleep(1100 * time.Millisecond) // until there is room for one more
	conn, err := transport.Dial(t.Context(), "ws://"+addr, transport.DialOptions{})
	must(t, err)
	_ = conn.Close(4012, "no")
	sayAll(t, addr, "x")
	receiver.signals <- os.Interrupt
	_, out := receiver.ends(t)
	for what, most := range map[string]int{"connection without a session": 100, "the other side: x": 100, "msg=ended": 100} {
		if n := strings.Count(out, what); n < 60 || n > most {
			t.Errorf("%q is said %d times", what, n)
		}
	}
	if !strings.Contains(out, "suppressed=") || !strings.Contains(out, "more sessions failed meanwhile") {
		t.Errorf("it does not say how often it did not: %s", out[len(out)-1000:])
	}
}
