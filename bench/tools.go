//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// sample is one run of a tool.
type sample struct {
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu"`         // of both sides
	Memory     int64   `json:"memory"`      // bytes at most, of the side that took more
	Bytes      int64   `json:"bytes"`       // both ways; 0 where there is no connection
	RoundTrips int64   `json:"round_trips"` // of the connection
}

// tool makes to equal from.
type tool struct {
	name string
	run  func(b *bench, from, to string, link *linksim.Link) (sample, error)
}

// through calls f with the address at which port answers over the link, and
// adds what passed.
func (s *sample) through(port int, link *linksim.Link, f func(addr string) error) error {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if link == nil {
		return f(addr)
	}
	p, err := linksim.Start(addr, *link)
	if err != nil {
		return err
	}
	defer p.Close()
	err = f(p.Addr())
	up, down, trips := p.Counts()
	s.Bytes, s.RoundTrips = up+down, trips
	return err
}

func ours(args ...string) tool {
	return tool{strings.Join(append([]string{"sync-directory"}, args...), " "), func(b *bench, from, to string, link *linksim.Link) (s sample, err error) {
		err = b.ours(from, to, link, &s, args, nil)
		return s, err
	}}
}

// flushed leaves the sync to a command of its own.
func flushed() tool {
	return tool{"sync-directory --no-fsync, then sync -f", func(b *bench, from, to string, link *linksim.Link) (s sample, err error) {
		if err := b.ours(from, to, link, &s, nil, []string{"--no-fsync"}); err != nil {
			return s, err
		}
		start := time.Now()
		err = exec.Command("sync", "-f", to).Run()
		s.Seconds += time.Since(start).Seconds()
		return s, err
	}}
}

// uncached compares by content without what earlier runs have learnt.
func uncached() tool {
	return tool{"sync-directory --checksum --no-cache", func(b *bench, from, to string, link *linksim.Link) (s sample, err error) {
		err = b.ours(from, to, link, &s, []string{"--checksum", "--no-cache"}, []string{"--no-cache"})
		return s, err
	}}
}

func (b *bench) ours(from, to string, link *linksim.Link, s *sample, sender, receiver []string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	r, err := measured(b.binary, append([]string{"--port", fmt.Sprint(port), "--output-dir", to}, receiver...)...)
	if err != nil {
		return err
	}
	stderr, err := r.StderrPipe()
	if err != nil {
		return err
	}
	if err := r.Start(); err != nil {
		return err
	}
	said, err := bufio.NewReader(stderr).ReadString('\n') // the start line
	if err != nil || !strings.Contains(said, "listening") {
		return errors.Join(fmt.Errorf("the receiver says %q", said), err, r.wait(s))
	}
	return s.through(port, link, func(addr string) error {
		g, err := measured(b.binary, append([]string{"--links", "--from", from, "--to", "ws://" + addr}, sender...)...)
		if err != nil {
			return err
		}
		start := time.Now()
		err = g.run(s)
		if err != nil {
			_ = r.Process.Signal(syscall.SIGTERM) // it would listen on
		}
		err = errors.Join(err, r.wait(s))
		s.Seconds = time.Since(start).Seconds()
		return err
	})
}

// rsync talks to a daemon, which is what needs a port as well.
func rsync(args ...string) tool {
	return tool{strings.Join(append([]string{"rsync"}, args...), " "), func(b *bench, from, to string, link *linksim.Link) (s sample, err error) {
		port, err := freePort()
		if err != nil {
			return s, err
		}
		conf := filepath.Join(b.work, "rsyncd.conf")
		text := fmt.Sprintf("port = %d\naddress = 127.0.0.1\nuse chroot = no\nlog file = /dev/null\n%s[to]\npath = %s\nread only = no\n", port, asRoot(), to)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return s, err
		}
		daemon, err := measured("rsync", "--daemon", "--no-detach", "--config="+conf)
		if err == nil {
			err = daemon.Start()
		}
		if err != nil {
			return s, err
		}
		defer func() {
			_ = daemon.Process.Signal(syscall.SIGTERM)
			_ = daemon.wait(&s) // it ends by the signal
		}()
		if err := listens(port); err != nil {
			return s, err
		}
		err = s.through(port, link, func(addr string) error {
			c, err := measured("rsync", append([]string{"-a", "--delete", from + "/", "rsync://" + addr + "/to/"}, args...)...)
			if err != nil {
				return err
			}
			start := time.Now()
			err = c.run(&s)
			s.Seconds = time.Since(start).Seconds()
			return err
		})
		return s, err
	}}
}

func asRoot() string {
	if os.Getuid() == 0 {
		return "uid = root\ngid = root\n"
	}
	return ""
}

// tar and cp know no network: they show what the machine can do.
var tar = tool{"tar | tar", func(_ *bench, from, to string, _ *linksim.Link) (sample, error) {
	return shell(`tar cf - -C "$1" . | tar xf - -C "$2"`, from, to)
}}

var cp = tool{"cp -a", func(_ *bench, from, to string, _ *linksim.Link) (sample, error) {
	return shell(`cp -a "$1/." "$2"`, from, to)
}}

func shell(script, from, to string) (s sample, err error) {
	c, err := measured("sh", "-c", script, "sh", from, to)
	if err != nil {
		return s, err
	}
	start := time.Now()
	err = c.run(&s)
	s.Seconds = time.Since(start).Seconds()
	return s, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func listens(port int) error {
	var err error
	for range 500 {
		var c net.Conn
		if c, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
