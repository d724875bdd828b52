//go:build unix

package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take that a script waits for.
const patience = 60 * time.Second

// world is what a script has running and remembers.
type world struct {
	processes map[string]*process
	snaps     map[string]map[string]seen
	closers   []func()
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// end stops what the script has left.
func (w *world) end() {
	for _, p := range w.processes {
		if !p.ended {
			_ = p.cmd.Process.Kill() // it may have ended by itself
			<-p.done
		}
	}
	for _, f := range slices.Backward(w.closers) {
		f()
	}
}

type process struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	done           chan struct{} // closed when it has ended
	ended          bool          // the script knows
}

// lockedBuffer takes output that is looked at meanwhile.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch starts [NAME=VALUE…] [<FILE] PROGRAM [ARGUMENT…]: with variables of the
// environment, and standard input from a file.
func launch(ts *testscript.TestScript, args []string) *process {
	var env []string
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	stdin := ""
	if name, ok := strings.CutPrefix(args[0], "<"); ok {
		stdin, args = ts.ReadFile(name), args[1:]
	}
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	p := &process{cmd: exec.Command(path, args[1:]...), done: make(chan struct{})}
	p.cmd.Args[0] = args[0]
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = slices.Concat(os.Environ(), []string{"HOME=" + ts.Getenv("HOME"), "XDG_STATE_HOME=" + ts.Getenv("XDG_STATE_HOME"), "PWD=" + p.cmd.Dir}, env)
	p.cmd.Stdin = strings.NewReader(stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ProcessState says it
	}()
	return p
}

// finish waits for the end of a process and checks how it ended.
func (p *process) finish(ts *testscript.TestScript, code string, within time.Duration) {
	start := time.Now()
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // tells where it hangs
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		ts.Fatalf("%v did not end within %v\n%s%s", p.cmd.Args, within, p.stdout.String(), p.stderr.String())
	}
	p.ended = true
	fmt.Fprint(ts.Stdout(), p.stdout.String())
	fmt.Fprint(ts.Stderr(), p.stderr.String())
	got := strconv.Itoa(p.cmd.ProcessState.ExitCode())
	if got != code {
		ts.Fatalf("%v: exit code %s, want %s (after %v)", p.cmd.Args, got, code, time.Since(start))
	}
}

// cmdStart: start NAME PROGRAM [ARGUMENT…] runs a program in the background.
func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: start NAME PROGRAM [ARGUMENT…]")
	}
	w := worldOf(ts)
	if p := w.processes[args[0]]; p != nil && !p.ended {
		ts.Fatalf("%s is running", args[0])
	}
	w.processes[args[0]] = launch(ts, args[1:])
}

// cmdEnds: ends NAME CODE [DURATION] waits for a program and checks its exit
// code; stdout and stderr then match what it said.
func cmdEnds(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: ends NAME CODE [DURATION]")
	}
	within := patience
	if len(args) > 2 {
		var err error
		within, err = time.ParseDuration(args[2])
		ts.Check(err)
	}
	named(ts, args[0]).finish(ts, args[1], within)
}

// cmdRun: run CODE PROGRAM [ARGUMENT…] runs a program and checks its exit
// code.
func cmdRun(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: run CODE PROGRAM [ARGUMENT…]")
	}
	launch(ts, args[1:]).finish(ts, args[0], patience)
}

func named(ts *testscript.TestScript, name string) *process {
	p := worldOf(ts).processes[name]
	if p == nil {
		ts.Fatalf("no process %q", name)
	}
	return p
}

// cmdSignal: signal NAME INT|TERM|HUP|KILL|STOP|CONT.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP,
		"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
	if len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	ts.Check(named(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

// cmdAlive: alive NAME fails when the process has ended.
func cmdAlive(ts *testscript.TestScript, neg bool, args []string) {
	p := named(ts, args[0])
	select {
	case <-p.done:
		if !neg {
			ts.Fatalf("%s ended with %d:\n%s%s", args[0], p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String())
		}
	default:
		if neg {
			ts.Fatalf("%s is running", args[0])
		}
	}
}

// cmdAwait waits for something to become true:
//
//	await said NAME TEXT      the program printed it
//	await file GLOB [BYTES]   a file is there, of that size at least
//	await none GLOB           nothing is there
//	await confined NAME       the program has given up what it need not do
//	await pause DURATION      it was given time to go wrong
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await said|file|none|pause …")
	}
	if args[0] == "pause" {
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		time.Sleep(d)
		return
	}
	for deadline := time.Now().Add(patience); !holds(ts, args); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%v does not come true", args)
		}
	}
}

func holds(ts *testscript.TestScript, args []string) bool {
	switch args[0] {
	case "said":
		p := named(ts, args[1])
		return strings.Contains(p.stdout.String()+p.stderr.String(), args[2])
	case "confined":
		return privileges(ts, args[1]) == "1"
	case "file", "none":
		found, err := filepath.Glob(ts.MkAbs(args[1]))
		ts.Check(err)
		least := int64(0)
		if len(args) > 2 {
			least = size(ts, args[2])
		}
		ok := slices.ContainsFunc(found, func(path string) bool {
			info, err := os.Lstat(path)
			return err == nil && (least == 0 || info.Size() >= least)
		})
		return ok == (args[0] == "file")
	}
	ts.Fatalf("await %s?", args[0])
	return false
}

// cmdConfined: confined NAME fails unless all threads of a running program have given up to
// get privileges, as they do with all that they need not do.
func cmdConfined(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: confined NAME")
	}
	if got := privileges(ts, args[0]); neg == (got == "1") {
		ts.Fatalf("%s has NoNewPrivs %s", args[0], got)
	}
}

// privileges returns what the threads of a program say of NoNewPrivs: 1 where they have
// given it up, 0 where they have not, both where only some have.
func privileges(ts *testscript.TestScript, name string) string {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", named(ts, name).cmd.Process.Pid))
	ts.Check(err)
	var said []string
	for _, path := range tasks {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		_, after, _ := strings.Cut(string(status), "NoNewPrivs:")
		said = append(said, strings.Fields(after)[0])
	}
	slices.Sort(said)
	return strings.Join(slices.Compact(said), " and ")
}

// cmdDigest: digest NAME NAME compares the digests that two programs printed.
func cmdDigest(ts *testscript.TestScript, _ bool, args []string) {
	var digests []string
	for _, name := range args {
		_, after, ok := strings.Cut(named(ts, name).stdout.String(), "tree digest ")
		if !ok {
			ts.Fatalf("%s printed no digest", name)
		}
		digests = append(digests, strings.Fields(after)[0])
	}
	if len(digests) != 2 || digests[0] != digests[1] || len(digests[0]) != 64 {
		ts.Fatalf("digests %q", digests)
	}
}

// cmdMount: mount tmpfs DIR OPTIONS, mount bind FROM DIR, mount overlay LOWER DIR; gone with
// the script.
func cmdMount(ts *testscript.TestScript, _ bool, args []string) {
	var out []byte
	var err error
	dir := ts.MkAbs(args[len(args)-1])
	switch {
	case len(args) == 3 && args[0] == "tmpfs":
		dir = ts.MkAbs(args[1])
		out, err = exec.Command("mount", "-t", "tmpfs", "-o", args[2], "none", dir).CombinedOutput()
	case len(args) == 3 && args[0] == "bind":
		out, err = exec.Command("mount", "--bind", ts.MkAbs(args[1]), dir).CombinedOutput()
	case len(args) == 3 && args[0] == "overlay":
		// An overlay does not lie on another one, as a container's files may.
		layers, derr := os.MkdirTemp(memory(), "overlay")
		ts.Check(derr)
		ts.Check(errors.Join(os.Mkdir(filepath.Join(layers, "upper"), 0o755), os.Mkdir(filepath.Join(layers, "work"), 0o755)))
		worldOf(ts).closers = append(worldOf(ts).closers, func() { ts.Check(os.RemoveAll(layers)) })
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", ts.MkAbs(args[1]), layers)
		out, err = exec.Command("mount", "-t", "overlay", "-o", options, "none", dir).CombinedOutput()
	default:
		err = errors.New("usage: mount tmpfs DIR OPTIONS | mount bind FROM DIR | mount overlay LOWER DIR")
	}
	if err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
	w := worldOf(ts)
	w.closers = append(w.closers, func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			ts.Logf("%s", out)
			_ = exec.Command("umount", "-l", dir).Run() // the script has failed already
		}
	})
}
