//go:build unix

package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon is a server that is not ours, in the foreground, with all its files in a
// directory of the test and all its processes in a group.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{} // closed when it has ended
}

// startDaemon returns when the server takes connections on a port, and ends it with
// the test.
func startDaemon(t *testing.T, dir string, port int, program string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: exec.Command(program, args...), done: make(chan struct{})}
	d.cmd.Dir = dir
	d.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, d.cmd.Start())
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // it is told to end
	}()
	t.Cleanup(d.stop)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return d
		}
		select {
		case <-d.done:
			t.Fatalf("%s ended:\n%s", program, d.out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s takes no connections: %v\n%s", program, err, d.out.String())
		}
	}
}

// stop ends the server, and whatever it has left.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-d.done:
	case <-time.After(2 * time.Second):
	}
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.done
}

// front is a server that ends TLS before a listener of ours.
type front struct {
	t        *testing.T
	kind     frontKind
	name     string // by which it is dialled
	port     int
	dir      string
	upstream int
	more     []string // pairs: what else is put in place of what in the snippet
	cuts     bool     // a reload ends connections
	daemon   *daemon
}

// frontKind is one of the servers that docs/proxies.md is about.
type frontKind struct {
	program string
	// config returns the whole configuration, around what the page shows.
	config func(f *front) string
	// start starts it with the configuration in a file.
	start func(f *front, program, config string) *daemon
	// reload makes it take its configuration anew.
	reload func(f *front, program, config string)
	// reloaded is what it has written when it has done so.
	reloaded string
}

var frontKinds = []frontKind{
	{"nginx", nginxConfig,
		func(f *front, program, config string) *daemon {
			return startDaemon(f.t, f.dir, f.port, program, "-p", f.dir, "-c", config, "-e", filepath.Join(f.dir, "error.log"))
		},
		func(f *front, program, config string) {
			f.run(program, "-p", f.dir, "-c", config, "-e", filepath.Join(f.dir, "error.log"), "-s", "reload")
		}, "gracefully shutting down"},
	{"haproxy", haproxyConfig,
		func(f *front, program, config string) *daemon {
			return startDaemon(f.t, f.dir, f.port, program, "-W", "-f", config)
		},
		func(f *front, _, _ string) { must(f.t, f.daemon.cmd.Process.Signal(syscall.SIGUSR2)) },
		"Reloading HAProxy"},
	{"caddy", caddyConfig,
		func(f *front, program, config string) *daemon {
			return startDaemon(f.t, f.dir, f.port, program, "run", "--config", config, "--adapter", "caddyfile")
		},
		func(f *front, program, config string) {
			f.run(program, "reload", "--force", "--config", config, "--adapter", "caddyfile", "--address", "unix/"+filepath.Join(f.dir, "admin"))
		}, "load complete"},
}

func kindOf(program string) frontKind {
	return frontKinds[slices.IndexFunc(frontKinds, func(k frontKind) bool { return k.program == program })]
}

func nginxConfig(f *front) string {
	patience := ""
	if f.cuts {
		patience = "worker_shutdown_timeout 100ms;\n"
	}
	paths := ""
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += fmt.Sprintf("\t%s_temp_path %s/%[1]s;\n", of, f.dir)
	}
	return fmt.Sprintf("daemon off;\nworker_processes 1;\n%spid %s/pid;\nerror_log %[2]s/error.log notice;\nevents {}\nhttp {\n\taccess_log %[2]s/access.log;\n%s%s}\n", patience, f.dir, paths,
		f.snippet("nginx",
			"listen 443 ", fmt.Sprintf("listen 127.0.0.1:%d ", f.port),
			"/etc/ssl/sync.example.com.crt", f.at("crt"),
			"/etc/ssl/sync.example.com.key", f.at("key")))
}

// haproxyConfig has the defaults of Debian's.
func haproxyConfig(f *front) string {
	patience := ""
	if f.cuts {
		patience = "global\n\thard-stop-after 100ms\n"
	}
	return patience + "defaults\n\tmode http\n\ttimeout connect 5000\n\ttimeout client 50000\n\ttimeout server 50000\n\n" +
		f.snippet("haproxy",
			"bind :443 ", fmt.Sprintf("bind 127.0.0.1:%d ", f.port),
			"/etc/haproxy/sync.example.com.pem", f.at("pem"))
}

func caddyConfig(f *front) string {
	return fmt.Sprintf("{\n\tadmin unix/%s\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n", f.at("admin")) +
		f.snippet("caddyfile",
			"/etc/ssl/sync.example.com.crt", f.at("crt"),
			"/etc/ssl/sync.example.com.key", f.at("key"),
			"sync.example.com {", fmt.Sprintf("%s:%d {", f.name, f.port))
}

func (f *front) at(name string) string { return filepath.Join(f.dir, name) }

// snippet returns what the page shows, with what is where here.
func (f *front) snippet(language string, pairs ...string) string {
	f.t.Helper()
	pairs = append(pairs, "127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", f.upstream))
	return documented(f.t, language, 0, append(pairs, f.more...)...)
}

// documented returns a block of docs/proxies.md with some things put in the place of
// others, all of which must be there.
func documented(t *testing.T, language string, nth int, pairs ...string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/proxies.md")
	must(t, err)
	blocks := strings.Split(string(page), "```"+language+"\n")
	if len(blocks) < nth+2 {
		t.Fatalf("docs/proxies.md has only %d blocks of %s", len(blocks)-1, language)
	}
	block, _, _ := strings.Cut(blocks[nth+1], "```")
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(block, pair[0]) {
			t.Fatalf("docs/proxies.md: %q is not in the block of %s:\n%s", pair[0], language, block)
		}
		block = strings.ReplaceAll(block, pair[0], pair[1])
	}
	return block
}

// start runs the server, skipping the test where it is not installed.
func (f *front) start() {
	f.t.Helper()
	program := needs(f.t, f.kind.program)
	config := f.at("config")
	must(f.t, os.WriteFile(config, []byte(f.kind.config(f)), 0o644))
	f.daemon = f.kind.start(f, program, config)
}

func (f *front) reload() {
	f.t.Helper()
	before := strings.Count(f.log(), f.kind.reloaded)
	f.kind.reload(f, needs(f.t, f.kind.program), f.at("config"))
	for deadline := time.Now().Add(patience); strings.Count(f.log(), f.kind.reloaded) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s is not reloaded\n%s", f.kind.program, f.log())
		}
	}
}

// log returns all that the server has written.
func (f *front) log() string {
	text, err := os.ReadFile(f.at("error.log")) // nginx has one
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return f.daemon.out.String() + string(text)
}

// run runs a program to its end.
func (f *front) run(program string, args ...string) {
	f.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir, "XDG_DATA_HOME="+f.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s: %v\n%s\n%s", program, err, out, f.daemon.out.String())
	}
}

// certify writes a certificate for the name, by itself, to the files crt, key and, both
// together, pem.
func (f *front) certify() {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.t, err)
	like := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		DNSNames:              []string{f.name},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	must(f.t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(f.t, err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	must(f.t, os.WriteFile(f.at("crt"), crt, 0o644))
	must(f.t, os.WriteFile(f.at("key"), private, 0o600))
	must(f.t, os.WriteFile(f.at("pem"), append(crt, private...), 0o600))
}

// roots trust the certificate.
func (f *front) roots() *x509.CertPool {
	crt, err := os.ReadFile(f.at("crt"))
	must(f.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(crt)
	return roots
}

// trust is the variable that makes a process trust the certificate.
func (f *front) trust() string { return "SSL_CERT_FILE=" + f.at("crt") }

func (f *front) url() string { return fmt.Sprintf("wss://%s:%d/sync", f.name, f.port) }
