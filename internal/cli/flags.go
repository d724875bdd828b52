package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
)

// The two commands that the program is about.
const example = `  sync-directory --port 8080 --output-dir ~/Downloads/output_dir
  sync-directory --from ~/Downloads/input_dir --to ws://localhost:8080`

const hint = `
the receiver, and then the sender:

` + example + `

`

const help = "see sync-directory --help\n"

const long = `sync-directory makes one directory equal another over one WebSocket: what is
missing or different is copied, what the source does not have is removed, at
every depth. When both sides have proved that the directories are equal, both
processes exit 0.

A role, --from DIR gives and --output-dir DIR takes, goes with an end of the
connection, --port listens and --to dials: all four pairs work. --from and
--output-dir together mirror within this machine. --from always means the
contents of the directory, with or without a slash at its end.

Only this machine can connect, unless both sides are given a token: then anybody
who has it can, and over ws:// too the session is private. sync-directory token
makes one.`

const codes = `
Exit codes, the first that applies:
   1  usage
   2  versions do not fit
   3  source or destination cannot be used: missing, not a directory, nested, in use,
      disk too small
   5  not let in: token, TLS, host name, origin, busy
  20  interrupted by a signal
  25  a guard refused the plan: --max-delete, empty source, --backup
  12  the peer broke the protocol, or content did not match its checksum
  11  the destination's disk failed: full, read-only, sync failed
  10  connection lost and not regained; port in use; state unknown, run again
  30  no progress for --timeout
  35  no connection within --contimeout
  23  some entries failed; the others are in place, and nothing was removed,
      unless it is a removal that failed
  24  some source files vanished or kept changing; all else is in place
   0  equal and durable
`

// command is one run of the program.
type command struct {
	f     flags
	t     *tui
	cobra *cobra.Command
	log   *slog.Logger // as the flags say

	stdin io.Reader

	keepsRunning atomic.Bool // f.keepRunning, for who handles signals
	identity     atomic.Pointer[identity]
}

// flags are what the user asks for.
type flags struct {
	from, outputDir, to string
	port                int
	portSet             bool

	listen      []string
	allowHost   []string
	tokenFile   string
	e2e         bool
	cert, key   string
	caCert      string
	pins        []string
	selfSigned  bool
	insecure    bool
	keepRunning bool
	basePath    string
	header      []string
	headers     map[string][]string // what header says

	links, checksum       bool
	whole, noCache        bool
	maxDelete             uint64
	maxDeleteSet          bool
	delete                bool
	noDelete, allowEmpty  bool
	forceRoot, noFsync    bool
	sparse, ignoreSpace   bool
	backup                bool
	backupDir             string
	transfers, checkers   int
	compress              string
	timeout, contimeout   time.Duration
	retries               int
	logLevel, logFormat   string
	logFile               string
	quiet, alwaysProgress bool
	noSandbox             bool

	given func(name string) bool // whether a flag was
}

func newCommand(t *tui) *command {
	c := &command{t: t, stdin: os.Stdin}
	f := &c.f
	c.cobra = &cobra.Command{
		Use:           "sync-directory --from DIR | --output-dir DIR  --port N | --to URL",
		Short:         "make one directory equal another over one WebSocket",
		Long:          long,
		Example:       example,
		Version:       syncdirectory.Version,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.given = cmd.Flags().Changed
			f.portSet = f.given("port")
			f.maxDeleteSet = f.given("max-delete")
			if err := checkEmpty(cmd.Flags()); err != nil {
				return err
			}
			return c.execute(cmd.Context())
		},
	}
	c.cobra.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if strings.Contains(err.Error(), "://") {
			return errMisplaced // a URL may hold a secret: it is not repeated
		}
		if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
			f := invalid.GetFlag()
			if errors.Is(err, strconv.ErrRange) {
				return usage("--%s %s is beyond all numbers that it takes", f.Name, invalid.GetValue())
			}
			return usage("--%s %q is not %s", f.Name, invalid.GetValue(), kinds[f.Value.Type()])
		}
		return err
	})
	c.cobra.SetOut(t.stdout)
	c.cobra.SetErr(t.stderr)
	c.cobra.CompletionOptions.HiddenDefaultCmd = true
	c.cobra.SetUsageTemplate(c.cobra.UsageTemplate() + codes)
	c.cobra.Flags().SortFlags = false
	f.define(c.cobra)
	c.cobra.AddCommand(c.tokenCommand(), c.cacheCommand())
	return c
}

// define lists the flags in the order in which help shows them.
func (f *flags) define(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.from, "from", "", "give the contents of `DIR`")
	p.StringVar(&f.outputDir, "output-dir", "", "make `DIR` equal to the source; made when missing")
	p.IntVar(&f.port, "port", 0, "listen on port `N`; 0 takes a free one")
	p.StringVar(&f.to, "to", "", "dial `URL`: ws://host:port or wss://host/path; HTTPS_PROXY and HTTP_PROXY name a proxy on the way")

	p.BoolVarP(&f.links, "links", "l", false, "mirror symbolic links as links (sender); without it they are left alone")
	p.BoolVarP(&f.checksum, "checksum", "c", false, "compare all content, not only where size and time prove nothing")
	p.BoolVar(&f.noCache, "no-cache", false, "read all content that is compared, also what has not changed since it was read")
	p.BoolVarP(&f.whole, "whole-file", "W", false, "send changed files whole, not what differs in them")
	p.Uint64Var(&f.maxDelete, "max-delete", 0, "refuse, before any change, to remove more than `N` entries")
	p.BoolVar(&f.noDelete, "no-delete", false, "remove nothing")
	p.BoolVar(&f.delete, "delete", true, "accepted for those who type it: removing is what this program does")
	p.StringVar(&f.backupDir, "backup-dir", "", "save in `DIR` what is replaced or removed, before it goes (receiver)")
	p.BoolVar(&f.backup, "backup", false, "refuse to replace or remove anything where the receiver has no --backup-dir")
	p.BoolVar(&f.allowEmpty, "allow-empty", false, "let an empty source empty the destination")
	p.BoolVar(&f.forceRoot, "force-root", false, "let / or the home directory be the destination (receiver)")
	p.BoolVarP(&f.sparse, "sparse", "S", false, "leave holes in large files where the source has some")
	p.BoolVar(&f.ignoreSpace, "ignore-space", false, "begin even where the disk looks too small (receiver)")
	p.BoolVar(&f.noFsync, "no-fsync", false, "do not wait until the result is durable (receiver)")

	p.StringVar(&f.tokenFile, "token-file", "", "prove to each other that both sides know the token in `FILE`, - for standard input; or in SYNC_DIRECTORY_TOKEN")
	p.BoolVar(&f.e2e, "e2e", false, "with a token: let a proxy at which TLS ends see nothing either")
	p.StringVar(&f.cert, "cert", "", "show the certificate in `FILE` (PEM): listen for wss://, or be known by it where one dials")
	p.StringVar(&f.key, "key", "", "the key of --cert, in `FILE` (PEM)")
	p.StringVar(&f.caCert, "ca-cert", "", "trust the authorities in `FILE` (PEM) alone; a listener then asks the dialer for a certificate")
	p.StringArrayVar(&f.pins, "pin", nil, "trust who has the key of `PIN` alone (sha256/BASE64, as --self-signed says it); may be repeated")
	p.BoolVar(&f.selfSigned, "self-signed", false, "listen for wss:// with a key made for this run, and say how the other side pins it")

	p.StringArrayVar(&f.listen, "listen", nil, "listen on `ADDR`; may be repeated; without it for this machine only, or with a token for all")
	p.BoolVar(&f.insecure, "insecure", false, "let anybody who reaches --listen connect, without any proof")
	p.StringArrayVar(&f.allowHost, "allow-host", nil, "let requests name the listener `NAME`; may be repeated")
	p.BoolVar(&f.keepRunning, "keep-running", false, "serve one session after the other")

	p.StringVar(&f.basePath, "base-path", "", "let connections in at `/PATH` only, as a proxy forwards it")
	p.StringArrayVar(&f.header, "header", nil, "send `'Name: value'` with --to, or the lines of a file, @FILE; may be repeated")

	p.IntVar(&f.transfers, "transfers", 0, "read or write `N` files at once (default by this machine's cores)")
	p.IntVar(&f.checkers, "checkers", 0, "read `N` directories at once (default by this machine's cores)")
	p.StringVar(&f.compress, "compress", "auto", "compress what is sent: `HOW` is auto, none, zstd or zstd:LEVEL (1 to 22, of which 1, 3, 6 and 10 begin something new)")
	p.DurationVar(&f.timeout, "timeout", 0, "give up when nothing moves for the duration `D`, such as 90s or 5m (default: wait)")
	p.IntVar(&f.retries, "retries", 15, "connect again up to `N` times in a row after the connection was lost (15: for 40 s and more); 0 gives up at once")
	p.DurationVar(&f.contimeout, "contimeout", 10*time.Second, "give up when the other side is not reachable within `D`")

	p.StringVar(&f.logLevel, "log-level", "warn", "log from `LEVEL` on: debug, info, warn, error")
	p.StringVar(&f.logFormat, "log-format", "text", "log in `FORMAT`: text or json")
	p.StringVar(&f.logFile, "log-file", "", "log to `FILE`, a regular one and no link, instead of standard error")
	p.BoolVar(&f.noSandbox, "no-sandbox", false, "do not confine this process to its directories (Linux)")
	p.BoolP("version", "V", false, "print the version")
	p.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but what went wrong, and a pin or port that was made for this run")
	p.BoolVarP(&f.alwaysProgress, "progress", "P", false, "show progress also where standard error is no terminal")
}

// kinds says what a flag of a type takes.
var kinds = map[string]string{
	"int":      "a number",
	"uint64":   "a number, 0 or more",
	"duration": "a duration, such as 90s or 5m",
	"bool":     "true or false",
}

// checkEmpty refuses flags that were given nothing: most likely a variable was not set, and
// without the flag the run would be another one.
func checkEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if several, ok := f.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		if err == nil && slices.Contains(values, "") {
			err = usage("--%s is given nothing: is a variable not set?", f.Name)
		}
	})
	return err
}

var errMisplaced = usage("a URL goes with --to, and nothing else takes one")

// noArguments refuses what no flag takes.
func noArguments(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case strings.ContainsAny(args[0], ":@"):
		return errMisplaced
	}
	return newcomer{usage("%q belongs to no flag: directories go with --from and --output-dir", args[0])}
}

func usage(format string, args ...any) error { return fault.New(fault.Usage, format, args...) }

// newcomer is an error of somebody who may not know the two commands yet.
type newcomer struct{ error }

func (n newcomer) Unwrap() error { return n.error }

// check reports what is missing or does not go together.
func (f *flags) check() error {
	ends := f.to != "" || f.portSet
	switch {
	case f.from == "" && f.outputDir == "" && !ends:
		return newcomer{usage("nothing to do: a role, --from or --output-dir, and an end of the connection, --port or --to, are missing")}
	case f.from == "" && f.outputDir == "":
		return newcomer{usage("the role is missing: --from DIR gives a directory, --output-dir DIR takes one")}
	case f.from != "" && f.outputDir != "" && ends:
		return usage("--from with --output-dir mirrors within this machine: leave out --port and --to")
	case f.to != "" && f.portSet:
		return usage("--port listens and --to dials: give one of them")
	case f.from != "" && f.outputDir == "" && !ends:
		return newcomer{usage("the end of the connection is missing: --to URL dials a receiver, --port N waits for one")}
	case f.outputDir != "" && f.from == "" && !ends:
		return newcomer{usage("the end of the connection is missing: --port N waits for a sender, --to URL dials one")}
	}
	if err := f.checkValues(); err != nil {
		return err
	}
	if err := f.checkSides(); err != nil {
		return err
	}
	return f.checkTLS()
}

// checkValues reports values that a flag does not take, or that contradict each other.
func (f *flags) checkValues() error {
	switch {
	case f.port < 0 || f.port > 65535:
		return usage("--port %d is no port: 0 to 65535", f.port)
	case f.transfers < 0 || f.checkers < 0 || f.transfers > 256 || f.checkers > 256,
		f.transfers == 0 && f.given("transfers"), f.checkers == 0 && f.given("checkers"):
		return usage("--transfers and --checkers are 1 to 256")
	case f.timeout < 0 || f.contimeout <= 0:
		return usage("--timeout and --contimeout must not be negative")
	case f.retries < 0:
		return usage("--retries must not be negative")
	case !f.delete:
		return usage("--delete=false is spelled --no-delete")
	case f.noDelete && f.given("delete"):
		return usage("--delete is not --no-delete: give one of them")
	case f.quiet && f.alwaysProgress:
		return usage("--progress is not --quiet: give one of them")
	case f.insecure && f.tokenFile != "":
		return usage("--insecure does without a token: leave one of them out")
	}
	for _, addr := range f.listen {
		if _, _, err := net.SplitHostPort(addr); err == nil {
			return usage("--listen %s: the port is given with --port", addr)
		}
	}
	return nil
}

// checkSides reports flags that belong to the other role, or to the other end of the connection.
func (f *flags) checkSides() error {
	switch {
	case f.links && f.from == "":
		return usage("--links belongs to the sender, which decides what is described")
	case (f.forceRoot || f.noFsync || f.ignoreSpace) && f.outputDir == "":
		return usage("--force-root, --no-fsync and --ignore-space belong to the receiver")
	case f.backupDir != "" && f.outputDir == "":
		return usage("--backup-dir belongs to the receiver; a sender asks by --backup that it has one")
	case f.backup && f.outputDir != "" && f.backupDir == "":
		return usage("--backup needs --backup-dir DIR here, to save what is replaced or removed")
	case f.insecure && len(f.listen) == 0:
		return usage("--insecure goes with --listen, of which it lets anybody connect to")
	case (len(f.listen) > 0 || len(f.allowHost) > 0 || f.keepRunning || f.insecure || f.basePath != "") && !f.portSet:
		return usage("--listen, --allow-host, --insecure, --keep-running and --base-path need --port")
	case len(f.header) > 0 && f.to == "":
		return usage("--header goes with --to, whose request it is")
	case (f.given("retries") || f.given("contimeout")) && f.to == "":
		return usage("--retries and --contimeout go with --to: the side that dials connects again")
	case (f.tokenFile != "" || f.e2e) && f.to == "" && !f.portSet:
		return usage("--token-file and --e2e belong to a connection")
	}
	return nil
}

// options returns what the library is told.
func (f *flags) options(log *slog.Logger, counters *syncdirectory.Counters) syncdirectory.Options {
	o := syncdirectory.Options{
		Transfers:   f.transfers,
		Checkers:    f.checkers,
		Checksum:    f.checksum,
		WholeFile:   f.whole,
		Cache:       f.cache(),
		NoDelete:    f.noDelete,
		AllowEmpty:  f.allowEmpty,
		Compression: f.compress,
		Sparse:      f.sparse,
		Backup:      f.backup,
		Timeout:     f.timeout,
		Log:         log,
		Counters:    counters,
	}
	if f.maxDeleteSet {
		o.MaxDelete = &f.maxDelete
	}
	return o
}

// urlOf returns the URL of a listener for people: localhost for loopback, and this
// machine's name for all addresses.
func (f *flags) urlOf(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		host = "localhost"
	} else if err == nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	scheme := "ws"
	if f.cert != "" || f.selfSigned {
		scheme = "wss"
	}
	return fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(host, port), f.basePath)
}
