package syncdirectory_test

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	syncdirectory "github.com/sync-directory/sync-directory"
)

// TestOptionsAreChecked: what can never work is a mistake of who calls, found before a
// destination is made.
func TestOptionsAreChecked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r := &syncdirectory.Receiver{Dir: dir}
	socks := http.ProxyURL(&url.URL{Scheme: "socks5", Host: "127.0.0.1:1"})
	for name, o := range map[string]syncdirectory.DialOptions{
		"a field of the handshake": {Header: http.Header{"Host": {"peer.example"}}},
		"a SOCKS proxy":            {Proxy: socks},
	} {
		if _, err := r.Dial(t.Context(), "ws://peer.example", o); syncdirectory.CodeOf(err) != syncdirectory.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Dial(t.Context(), "http://peer.example", syncdirectory.DialOptions{}); syncdirectory.CodeOf(err) != syncdirectory.Usage {
		t.Errorf("another scheme: %v", err)
	}
	if _, err := r.Listen(t.Context(), syncdirectory.ListenOptions{BasePath: "sync"}); syncdirectory.CodeOf(err) != syncdirectory.Usage {
		t.Errorf("a base path: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a destination was made: %v", err)
	}
}

// TestProxyRefusal: what a proxy says becomes a code, and words for what to do.
func TestProxyRefusal(t *testing.T) {
	for _, test := range []struct {
		answer, user string
		code         syncdirectory.Code
		words        string
	}{
		{"407 Go away\r\nProxy-Authenticate: Basic realm=x", "", syncdirectory.Access, "put them into HTTPS_PROXY"},
		{"407 Go away\r\nProxy-Authenticate: Basic realm=x", "alice:swordfish@", syncdirectory.Access, "refused the user and password"},
		{"407 Go away\r\nProxy-Authenticate: NTLM", "alice:swordfish@", syncdirectory.Access, "by NTLM, and only Basic"},
		{"407 Go away\r\nProxy-Authenticate: \u202eN", "", syncdirectory.Access, `\u202eN`},
		{"403 Forbidden", "", syncdirectory.Access, "peer.example:80 (403)"},
		{"405 Method Not Allowed", "", syncdirectory.Connect, "405 to CONNECT peer.example:80"},
		{"502 Bad Gateway", "", syncdirectory.Connect, "502 Bad Gateway; is the other side running?"},
	} {
		at := refusing(t, test.answer)
		proxy, err := url.Parse("http://" + test.user + at)
		if err != nil {
			t.Fatal(err)
		}
		s := &syncdirectory.Sender{Dir: t.TempDir()}
		o := syncdirectory.DialOptions{Proxy: http.ProxyURL(proxy), ConnectTimeout: time.Second}
		_, err = s.Dial(t.Context(), "ws://peer.example", o)
		if syncdirectory.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), at) {
			t.Errorf("%s: %v", test.answer, err)
		}
		if strings.Contains(err.Error(), "swordfish") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

// TestWhyNobodyIsThere: whom a server answers, and then lets wait until the time is over, is
// told what the answer was.
func TestWhyNobodyIsThere(t *testing.T) {
	at := answering(t, func(request int) string {
		if request > 0 {
			<-t.Context().Done()
		}
		return "503 Service Unavailable"
	})
	s := &syncdirectory.Sender{Dir: t.TempDir()}
	_, err := s.Dial(t.Context(), "ws://"+at, syncdirectory.DialOptions{ConnectTimeout: time.Second})
	if syncdirectory.CodeOf(err) != syncdirectory.Connect || !strings.Contains(err.Error(), "answered 503") {
		t.Error(err)
	}
}

// refusing is a proxy that answers every request in the same way.
func refusing(t *testing.T, answer string) string {
	return answering(t, func(int) string { return answer })
}

// answering is a server that answers each request with what answer returns, one after the
// other.
func answering(t *testing.T, answer func(request int) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for request := 0; ; request++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c)) // whatever it is
			_, _ = io.WriteString(c, "HTTP/1.1 "+answer(request)+"\r\nContent-Length: 0\r\n\r\n")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String()
}
