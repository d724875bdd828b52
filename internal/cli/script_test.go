//go:build unix

package cli_test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/cli"
)

// TestMain makes this test binary the command as well: scripts run it as
// sync-directory, and as unprivileged, which gives up root before it does the
// same. Who is not root runs that as is. Filtered takes system calls from the program that it
// becomes.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"sync-directory": command,
		"unprivileged": func() {
			if err := dropPrivileges(); err != nil {
				fmt.Fprintln(os.Stderr, "unprivileged:", err)
				os.Exit(99)
			}
			if len(os.Args) > 1 && os.Args[1] == "sync-directory" {
				os.Args = os.Args[1:]
			}
			command()
		},
		"filtered": func() {
			fmt.Fprintln(os.Stderr, "filtered:", filtered(os.Args[1:]))
			os.Exit(99)
		},
	})
}

// tests fail where a process that they have started is left.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); code == 0 && err != unix.ECHILD {
		fmt.Fprintln(os.Stderr, "a test has left a process")
		return 1
	}
	return code
}

func command() {
	signals, stop := cli.Signals()
	defer stop()
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr, signals))
}

// nobody is whom a test that runs as root becomes, to be refused something.
const nobody = 65534

// TestScripts runs the scripts, each of which is one behaviour of the command
// as its user sees it: real processes, real sockets, real directories.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start":  cmdStart,
			"ends":   cmdEnds,
			"run":    cmdRun,
			"signal": cmdSignal,
			"alive":  cmdAlive,
			"await":  cmdAwait,
			"own":    cmdOwn,
			"equal":  cmdEqual,
			"snap":   cmdSnap,
			"same":   cmdSame,
			"fill":   cmdFill,
			"many":   cmdMany,
			"deep":   cmdDeep,
			"mtime":  cmdMtime,
			"mode":   cmdMode,
			"odd":    cmdOdd,
			"mount":  cmdMount,
			"peer":   cmdPeer,
			"poke":   cmdPoke,
			"digest": cmdDigest,

			"immutable":   cmdImmutable,
			"certificate": cmdCertificate,
			"pin":         cmdPin,
			"confined":    cmdConfined,
		},
	})
}

// setup gives each script ports of its own, a home of its own, and a place
// that the unprivileged can reach.
func setup(env *testscript.Env) error {
	w := &world{processes: make(map[string]*process), snaps: make(map[string]map[string]seen)}
	env.Values[worldKey{}] = w
	env.Defer(w.end)
	for _, suffix := range []string{"", "2"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv("PORT"+suffix, fmt.Sprint(port))
		env.Setenv("URL"+suffix, fmt.Sprintf("ws://localhost:%d", port))
	}
	if root, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		env.Setenv("GOSRC", filepath.Join(strings.TrimSpace(string(root)), "src"))
	}
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("GOCOVERDIR", os.Getenv("GOCOVERDIR"))
	if os.Getuid() == 0 {
		for _, dir := range []string{filepath.Dir(env.WorkDir), env.WorkDir} {
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
	}
	return os.Mkdir(home, 0o755)
}

// long asks for what takes more than a few seconds.
var long = flag.Bool("long", false, "run the large scripts too")

// zone is where systems have what is known of a time zone.
const zone = "/usr/share/zoneinfo/Asia/Tokyo"

var lastPort atomic.Int32

// freePort returns a port that nobody else is given: below those that the
// system gives to connections, and not in use by another test process.
func freePort() (int, error) {
	const low, high = 12000, 31000
	for range high - low {
		port := low + (os.Getpid()*131+int(lastPort.Add(1)))%(high-low)
		free := true
		for _, host := range []string{"127.0.0.1", "::1"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
			if err != nil {
				free = free && host == "::1" // a machine without IPv6
				continue
			}
			l.Close()
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port")
}

// condition tells scripts what this machine allows.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Getuid() == 0, nil
	case "mounts":
		return os.Getuid() == 0 && runtime.GOOS == "linux" && canMount(), nil
	case "landlock":
		return hasLandlock(), nil
	case "zones":
		_, err := os.Stat(zone)
		return err == nil, nil
	case "immutable":
		return canImmutable(), nil
	case "long":
		return *long, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

func canMount() bool {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if exec.Command("mount", "-t", "tmpfs", "none", dir).Run() != nil {
		return false
	}
	return exec.Command("umount", dir).Run() == nil
}
