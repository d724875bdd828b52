//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// A process inherits from the one that starts it what that took at most, so
// programs are started by a small one of their own: this very binary, which
// says on descriptor 3 what its child took.
const measuredWord = "measured"

// program is a command whose resources are counted.
type program struct {
	*exec.Cmd
	said *os.File // the reading end of descriptor 3
}

func measured(name string, args ...string) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, append([]string{measuredWord, name}, args...)...)
	c.ExtraFiles = []*os.File{says}
	return &program{c, said}, nil
}

func (p *program) Start() error {
	err := p.Cmd.Start()
	p.ExtraFiles[0].Close()
	return err
}

// wait waits for the end and adds to s what the program took.
func (p *program) wait(s *sample) error {
	defer p.said.Close()
	var cpu float64
	var memory int64
	if _, err := fmt.Fscan(p.said, &cpu, &memory); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, p.Wait())
	}
	s.CPU += cpu
	s.Memory = max(s.Memory, memory)
	return p.Wait()
}

func (p *program) run(s *sample) error {
	if err := p.Start(); err != nil {
		return err
	}
	return p.wait(s)
}

// measure is what the small process does: it runs a program, hands on the
// signal that ends it, and exits as it does.
func measure(args []string) int {
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 127
	}
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	go func() {
		for s := range terms {
			_ = c.Process.Signal(s) // it may have ended
		}
	}()
	_ = c.Wait() // ProcessState says it
	if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		fmt.Fprintln(os.NewFile(3, "said"), cpu.Seconds(), u.Maxrss*1024)
	}
	return c.ProcessState.ExitCode()
}
