// Package cli is the command: flags to options, the library's calls, words
// for people, and an exit code.
//
// Its law: it is the only package that prints, and main the only one that
// exits.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
)

// Signals returns the signals that stop the program.
func Signals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// grace is how long a run may take to stop after a signal: time for a peer that
// does not take part in the farewell, and some to clear away.
const grace = 950 * time.Millisecond

// Main runs the command and returns its exit code. A first signal stops the
// run in an orderly way, a second one at once.
func Main(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	t := newTUI(stdout, stderr)
	done := make(chan int, 1)
	c := newCommand(t)
	go func() { done <- c.run(ctx, args) }()
	var deadline <-chan time.Time
	for {
		select {
		case code := <-done:
			return code
		case s := <-signals:
			if s == syscall.SIGHUP && c.keepsRunning.Load() {
				c.reload()
				continue
			}
			if deadline != nil {
				return int(fault.Interrupted)
			}
			deadline = time.After(grace)
			cancel(fault.New(fault.Interrupted, "interrupted by a signal (%v)", s))
		case <-deadline:
			t.failed(fault.New(fault.Interrupted, "interrupted; a call to the system did not return in time"))
			return int(fault.Interrupted)
		}
	}
}

// execute does what the flags say.
func (c *command) execute(ctx context.Context) (err error) {
	f := &c.f
	if err := f.check(); err != nil {
		return err
	}
	if err := f.readHeaders(); err != nil {
		return err
	}
	c.keepsRunning.Store(f.keepRunning)
	log, closeLog, err := f.logger(c.t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	c.log = log
	counters := new(syncdirectory.Counters)
	o := f.options(log, counters)
	if !f.noSandbox {
		o.OnOpen = f.confinement(log)
	}
	o.OnProblem = c.problem
	security, err := c.security()
	if err != nil {
		c.logResult(syncdirectory.Result{}, err)
		return err
	}
	stop := c.t.progress(counters, f)
	start := time.Now()
	result, err := c.mirror(ctx, o, security)
	stop()
	if result.Elapsed == 0 {
		result.Elapsed = time.Since(start)
	}
	c.t.rest()
	if !f.keepRunning {
		c.t.summary(result, f)
		c.logResult(result, err)
	}
	return err
}

// mirror makes the call that the flags ask for.
func (c *command) mirror(ctx context.Context, o syncdirectory.Options, security syncdirectory.Security) (syncdirectory.Result, error) {
	f := &c.f
	s := &syncdirectory.Sender{Dir: f.from, Links: f.links, Options: o}
	r := &syncdirectory.Receiver{Dir: f.outputDir, ForceRoot: f.forceRoot, NoFsync: f.noFsync, IgnoreSpace: f.ignoreSpace, BackupDir: f.backupDir, Options: o}
	switch {
	case f.from != "" && f.outputDir != "":
		r.Counters = nil // of the two, the sender's are shown
		own := func(p syncdirectory.Problem) {
			if !p.Peer { // each side tells its own
				c.problem(p)
			}
		}
		s.OnProblem, r.OnProblem = own, own
		return syncdirectory.Local(ctx, s, r)
	case f.from != "" && f.to != "":
		return s.Dial(ctx, f.to, f.dial(security))
	case f.from != "":
		return s.Listen(ctx, c.listen(security))
	case f.to != "":
		return r.Dial(ctx, f.to, f.dial(security))
	}
	return r.Listen(ctx, c.listen(security))
}

// security returns what the flags say of how the sides know each other.
func (c *command) security() (s syncdirectory.Security, err error) {
	f := &c.f
	if f.to == "" && !f.portSet {
		return s, nil // both sides are here
	}
	if s.Token, err = f.token(c.stdin); err != nil {
		return s, err
	}
	s.EndToEnd = f.e2e
	id, err := f.identity()
	if err != nil {
		return s, err
	}
	switch {
	case id == nil:
	case f.portSet:
		s.TLS = id.listener()
	default:
		s.TLS = id.dialer()
	}
	c.identity.Store(id)
	return s, nil
}

// reload reads certificates again, as those who renew them expect of SIGHUP.
func (c *command) reload() {
	id := c.identity.Load()
	if id == nil {
		return
	}
	if err := id.load(); err != nil {
		c.t.say("%s; the certificate that was read before is shown on", words(err))
		return
	}
	c.t.say("read the certificate again")
}

func (f *flags) dial(security syncdirectory.Security) syncdirectory.DialOptions {
	o := syncdirectory.DialOptions{ConnectTimeout: f.contimeout, BusyTimeout: f.timeout, Retries: f.retries, Header: f.headers, Security: security}
	if o.Retries == 0 {
		o.Retries = -1 // where 0 is the default
	}
	return o
}

func (c *command) listen(security syncdirectory.Security) syncdirectory.ListenOptions {
	f := &c.f
	o := syncdirectory.ListenOptions{
		Port:        f.port,
		Addresses:   f.listen,
		Insecure:    f.insecure,
		AllowHosts:  f.allowHost,
		KeepRunning: f.keepRunning,
		BasePath:    f.basePath,
		Security:    security,
	}
	o.OnListening = c.listening(&o)
	if f.keepRunning {
		o.OnSession = func(result syncdirectory.Result, err error) {
			if c.t.session(result, err, f) {
				c.logResult(result, err)
			}
		}
	}
	return o
}

// run parses the arguments and returns the exit code.
func (c *command) run(ctx context.Context, args []string) int {
	c.cobra.SetArgs(args)
	err := c.cobra.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := fault.Of(err, fault.Usage)
	c.t.failed(err)
	if errors.As(err, new(newcomer)) {
		fmt.Fprint(c.t.stderr, hint)
	}
	if code == fault.Usage {
		fmt.Fprint(c.t.stderr, help)
	}
	return int(code)
}
