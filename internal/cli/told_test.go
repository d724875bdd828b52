//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"

	"golang.org/x/sys/unix"
)

// pair are the two sides of a real failure: two processes, two homes, one connection.
type pair struct {
	t                *testing.T
	root             string
	sends, takes     string // the homes; names that only one side knows
	in, out          string // the directories in them
	port             int
	sender, receiver *run // the last one of each
}

func newPair(t *testing.T) *pair {
	t.Helper()
	root, err := os.MkdirTemp(memory(), "told")
	must(t, err)
	p := &pair{t: t, root: root, sends: filepath.Join(root, "home-of-sender"), takes: filepath.Join(root, "home-of-receiver")}
	p.in, p.out = filepath.Join(p.sends, "in"), filepath.Join(p.takes, "out")
	must(t, os.MkdirAll(p.in, 0o755))
	must(t, os.MkdirAll(p.out, 0o755))
	p.port, err = freePort()
	must(t, err)
	t.Cleanup(func() {
		for _, r := range []*run{p.sender, p.receiver} {
			if r != nil {
				_ = r.cmd.Process.Kill() // it may have ended
				<-r.done
			}
		}
		must(t, os.RemoveAll(root))
	})
	return p
}

// write makes a file of either side.
func (p *pair) write(path, content string) {
	p.t.Helper()
	must(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(p.t, os.WriteFile(path, []byte(content), 0o644))
}

// take starts a receiver that listens, send a sender that dials it.
func (p *pair) take(args ...string) {
	p.t.Helper()
	p.receiver = begin(p.t, append([]string{"--output-dir", p.out, "--port", fmt.Sprint(p.port), "--log-level", "debug"}, args...)...)
	p.receiver.awaitListening(p.t, p.port)
}

func (p *pair) send(args ...string) {
	p.sender = begin(p.t, append([]string{"--from", p.in, "--to", fmt.Sprintf("ws://localhost:%d", p.port), "--log-level", "debug"}, args...)...)
}

// await waits for something that is to come true.
func (p *pair) await(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not come true: sender %s; receiver %s", what, p.sender.out.String(), p.receiver.out.String())
		}
	}
}

// said waits until a side has said something.
func (p *pair) said(r *run, words string) {
	p.t.Helper()
	p.await(words, func() bool { return strings.Contains(r.out.String(), words) })
}

// stop ends a listener that goes on.
func (r *run) stop(t *testing.T) {
	t.Helper()
	must(t, r.cmd.Process.Signal(unix.SIGINT))
	if code := r.ends(patience); code != 20 {
		t.Errorf("code %d: %s", code, r.out.String())
	}
}

// failures are real ones: each returns with both sides ended, or about to end.
var failures = []struct {
	name     string
	begin    func(p *pair)
	sender   string // a pattern in what the sender says
	receiver string
}{
	{"empty source", func(p *pair) {
		for i := range 30 {
			p.write(fmt.Sprint(p.out, "/", i), "")
		}
		p.take()
		p.send()
	}, `the other side: the source is empty and the destination holds 30 entries: nothing was changed; see --allow-empty \(exit code 25\)`,
		`the source is empty and the destination holds 30 entries: nothing was changed; see --allow-empty \(exit code 25\)`},
	{"too many removals", func(p *pair) {
		p.write(p.in+"/a", "")
		p.write(p.out+"/b/c", "")
		p.take("--max-delete", "1")
		p.send()
	}, `the other side: 2 entries would be removed, more than the 1 that --max-delete allows: nothing was changed \(exit code 25\)`, `2 entries would be removed`},
	{"not to be saved", func(p *pair) {
		p.write(p.in+"/a", "")
		p.write(p.out+"/b/c", "")
		p.take()
		p.send("--backup")
	}, `the other side: what would be replaced or removed is to be saved \(--backup\).* \(exit code 25\)`, `is to be saved \(--backup\)`},
	{"working directory", func(p *pair) {
		p.take("--keep-running")
		p.send()
		p.sender.ends(patience)
		p.await("an end", func() bool { return strings.Contains(p.receiver.out.String(), "session ended") })
		p.write(p.out+"/.sync-directory", "somebody's file")
		p.send()
		p.sender.ends(patience)
		p.receiver.stop(p.t)
	}, `the other side: destination: prepare \.sync-directory: not a directory \(exit code 3\)`, `destination .*home-of-receiver/out: prepare \.sync-directory: .* \(exit code 3\)`},
	{"backup directory", func(p *pair) {
		saved := filepath.Join(p.takes, "saved")
		p.take("--keep-running", "--backup-dir", saved)
		p.send()
		p.sender.ends(patience)
		p.await("an end", func() bool { return strings.Contains(p.receiver.out.String(), "session ended") })
		must(p.t, os.RemoveAll(saved))
		p.send()
		p.sender.ends(patience)
		p.receiver.stop(p.t)
	}, `the other side: backup directory: prepare \.sync-directory: no such file or directory \(exit code 3\)`, `backup directory .*home-of-receiver/saved: .* \(exit code 3\)`},
	{"source is gone", func(p *pair) {
		p.sender = begin(p.t, "--from", p.in, "--port", fmt.Sprint(p.port), "--log-level", "debug")
		p.sender.awaitListening(p.t, p.port)
		must(p.t, os.RemoveAll(p.in))
		p.receiver = begin(p.t, "--output-dir", p.out, "--to", fmt.Sprintf("ws://localhost:%d", p.port), "--log-level", "debug")
	}, `scan the source: .*no such file or directory \(exit code 3\)`, `the other side: scan the source: no such file or directory \(exit code 3\)`},
	{"nested", func(p *pair) {
		p.out = filepath.Join(p.in, "deep", "out")
		p.takes = p.out // but not what it is in
		p.take()
		p.send()
		p.sender.ends(patience)
		p.receiver.stop(p.t)
	}, `the destination lies in the source, at /deep/out, or is the same directory \(exit code 3\)`, `the destination lies in the source, at /deep/out, or is the same directory \(exit code 3\)|interrupted`},
	{"nested the other way", func(p *pair) {
		p.in = filepath.Join(p.out, "deep", "in")
		p.sends = p.in
		p.write(p.in+"/a", "")
		p.take()
		p.send()
		p.sender.ends(patience)
		p.receiver.stop(p.t)
	}, `the source lies in the destination.* \(exit code 3\)`, `interrupted`},
	{"no room for another type", func(p *pair) {
		p.write(p.in+"/a/b", "file")
		p.write(p.out+"/a/b/c", "in a directory")
		p.take("--no-delete")
		p.send()
	}, `replace a/b: something of another type is there, and nothing shall be removed \(on the other side\)`, `replace a/b: something of another type is there`},
	{"unreadable", func(p *pair) {
		needsRoot(p.t)
		p.write(p.in+"/secret", "")
		p.write(p.in+"/closed/file", "")
		must(p.t, os.Chmod(p.in+"/secret", 0))
		must(p.t, os.Chmod(p.in+"/closed", 0))
		must(p.t, os.Chmod(p.root, 0o755))
		p.take()
		p.sender = beginAs(p.t, "unprivileged", "--from", p.in, "--to", fmt.Sprintf("ws://localhost:%d", p.port), "--log-level", "debug")
	}, `read secret: permission denied\n`, `read secret: permission denied \(on the other side\)\n(?s:.*)scan closed: permission denied \(on the other side\)|scan closed: permission denied \(on the other side\)\n(?s:.*)read secret: permission denied \(on the other side\)`},
	{"somebody else's", func(p *pair) {
		needsRoot(p.t)
		p.write(p.in+"/theirs/file", "new")
		p.write(p.out+"/theirs/file", "old one")
		must(p.t, os.Chmod(p.root, 0o755))
		must(p.t, os.Chown(p.out, nobody, nobody))
		p.receiver = beginAs(p.t, "unprivileged", "--output-dir", p.out, "--port", fmt.Sprint(p.port), "--log-level", "debug")
		p.receiver.awaitListening(p.t, p.port)
		p.send()
	}, `install theirs/file: permission denied \(on the other side\)`, `install theirs/file: permission denied\n`},
	{"too small", func(p *pair) {
		p.small()
		p.write(p.in+"/big", strings.Repeat("x", 8<<20))
		p.write(p.out+"/old", "")
		p.take()
		p.send()
	}, `the other side: the destination's disk is too small: 8.0 MiB are needed, \S+ \S+ are free; --ignore-space begins all the same \(exit code 3\)`, `disk is too small`},
	{"full", func(p *pair) {
		p.small()
		p.write(p.in+"/a/big", strings.Repeat("x", 8<<20))
		p.write(p.out+"/old", "")
		p.take("--ignore-space")
		p.send()
	}, `the other side: write a/big: no space left on device \(exit code 11\)`, `write a/big: .*no space left on device \(exit code 11\)`},
	{"interrupted sender", func(p *pair) {
		p.large()
		p.take("--keep-running")
		p.send()
		p.inTransfer()
		must(p.t, p.sender.cmd.Process.Signal(unix.SIGTERM))
		p.sender.ends(patience)
		p.said(p.receiver, "exit code 20")
		p.receiver.stop(p.t)
	}, `interrupted by a signal \(terminated\) \(exit code 20\)`, `the other side: interrupted by a signal \(terminated\) \(exit code 20\)`},
	{"interrupted receiver", func(p *pair) {
		p.large()
		p.take()
		p.send()
		p.inTransfer()
		must(p.t, p.receiver.cmd.Process.Signal(unix.SIGTERM))
	}, `the other side: interrupted by a signal \(terminated\) \(exit code 20\)`, `interrupted by a signal \(terminated\) \(exit code 20\)`},
	{"busy", func(p *pair) {
		p.take()
		conn, err := transport.Dial(p.t.Context(), fmt.Sprintf("ws://localhost:%d", p.port), transport.DialOptions{})
		must(p.t, err)
		_, err = wire.Greet(conn, peerHello(wire.Role_SENDER, wire.Version))
		must(p.t, err)
		p.send("--contimeout", "100ms")
		p.sender.ends(patience)
		_ = conn.Close(wire.CloseNormal, "")
		p.receiver.stop(p.t)
	}, `the other side: busy: another session is going on, and after it this listener ends \(exit code 5\)`, `connection without a session`},
	{"two receivers", func(p *pair) {
		p.take()
		p.sender = begin(p.t, "--output-dir", p.in, "--to", fmt.Sprintf("ws://localhost:%d", p.port), "--log-level", "debug")
		p.sender.ends(patience)
		p.receiver.stop(p.t)
	}, `both sides are receivers: one of them needs --from instead of --output-dir \(exit code 1\)`, `both sides are receivers`},
	{"in use", func(p *pair) { // which nobody is told but who starts it
		p.take()
		p.sender = begin(p.t, "--from", p.in, "--output-dir", p.out)
		p.sender.ends(patience)
		p.takes = filepath.Join(p.root, "-")
		p.receiver.stop(p.t)
	}, `in use by another receiver, process \d+ \(exit code 3\)`, `interrupted`},
}

// beginAs begins a run of the command under another name.
func beginAs(t *testing.T, program string, args ...string) *run {
	t.Helper()
	r := &run{cmd: exec.Command(program, args...), done: make(chan struct{})}
	r.start(t)
	return r
}

func needsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to be refused something afterwards")
	}
}

// small gives the destination a disk of 4 MiB.
func (p *pair) small() {
	if os.Getuid() != 0 || runtime.GOOS != "linux" || !canMount() {
		p.t.Skip("SKIPPED: needs root, to mount a small file system")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", p.out).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	p.t.Cleanup(func() {
		for _, r := range []*run{p.sender, p.receiver} {
			if r != nil {
				r.ends(patience)
			}
		}
		if out, err := exec.Command("umount", p.out).CombinedOutput(); err != nil {
			p.t.Errorf("%v: %s", err, out)
		}
	})
}

// large gives the source a file that takes a while.
func (p *pair) large() {
	f, err := os.Create(p.in + "/big")
	must(p.t, err)
	defer f.Close()
	for range 256 {
		_, err := f.Write(make([]byte, 1<<20))
		must(p.t, err)
	}
	p.write(p.out+"/old", "")
}

// inTransfer waits until content is under way.
func (p *pair) inTransfer() {
	p.await("a transfer", func() bool {
		staged, _ := filepath.Glob(p.out + "/.sync-directory/stage/*")
		return len(staged) > 0
	})
}

// TestNothingPrivateIsTold has both sides of each failure tell it, in messages and in logs:
// what the other side is told is of use, and has no path, process, host or home of this one.
func TestNothingPrivateIsTold(t *testing.T) {
	host, err := os.Hostname()
	must(t, err)
	home, err := os.UserHomeDir()
	must(t, err)
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			p := newPair(t)
			f.begin(p)
			p.sender.ends(patience)
			if p.receiver.ends(patience); t.Failed() {
				return
			}
			for _, side := range []struct {
				who         string
				mine, other *run
				theirs      string
				want        string
			}{
				{"sender", p.sender, p.receiver, p.takes, f.sender},
				{"receiver", p.receiver, p.sender, p.sends, f.receiver},
			} {
				// A directory that lies in the other side's is no secret of that.
				said := regexp.MustCompile(`(?m)^.* msg=confined .*$`).ReplaceAllString(side.mine.out.String(), "")
				if !regexp.MustCompile(side.want).MatchString(said) {
					t.Errorf("the %s does not say %s:\n%s", side.who, side.want, said)
				}
				if strings.Contains(said, filepath.Base(side.theirs)+"/") || strings.Contains(said, side.theirs) {
					t.Errorf("the %s knows %s:\n%s", side.who, side.theirs, said)
				}
				for line := range strings.Lines(said) {
					if !strings.Contains(line, "the other side: ") && !strings.Contains(line, "(on the other side)") {
						continue
					}
					process := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, side.other.cmd.Process.Pid))
					if strings.Contains(line, p.root) || strings.Contains(line, home+"/") || len(host) > 3 && strings.Contains(line, host) || process.MatchString(line) {
						t.Errorf("the %s is told %s", side.who, line)
					}
				}
			}
		})
	}
}
