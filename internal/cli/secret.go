package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	syncdirectory "github.com/sync-directory/sync-directory"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
)

// tokenVariable is the variable of the environment that may hold the token.
const tokenVariable = "SYNC_DIRECTORY_TOKEN"

// maxTokenFile bounds what is read of a file that is said to hold a token.
const maxTokenFile = 4 << 10

// token returns the token that --token-file or the environment gives, "" for none. It
// is taken out of the environment, which processes hand on. There is no flag that takes
// it as such: every user of a machine sees the arguments of a command.
func (f *flags) token(stdin io.Reader) (string, error) {
	env, set := os.LookupEnv(tokenVariable)
	if set {
		if err := os.Unsetenv(tokenVariable); err != nil {
			return "", fault.New(fault.Usage, "%s: %w", tokenVariable, err)
		}
	}
	switch {
	case f.tokenFile == "-":
		line, err := bufio.NewReader(io.LimitReader(stdin, maxTokenFile)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fault.New(fault.Usage, "standard input: %w", err)
		}
		return readToken("standard input", strings.NewReader(line))
	case f.tokenFile != "":
		file, err := openSecret(f.tokenFile)
		if err != nil {
			return "", fault.New(fault.Usage, "--token-file %s: %w", f.tokenFile, err)
		}
		defer file.Close()
		return readToken("--token-file "+f.tokenFile, file)
	case set && env == "":
		return "", usage("%s is set and empty: unset it, or let it hold a token", tokenVariable)
	}
	return env, nil
}

// readToken reads a token, which is all there is.
func readToken(what string, r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTokenFile))
	if err != nil {
		return "", fault.New(fault.Usage, "%s: %w", what, err)
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 {
		return "", usage("%s holds no token: make one with `sync-directory token`", what)
	}
	return string(b), nil
}

// tokenCommand makes tokens.
func (c *command) tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "token [FILE]",
		Short: "make a token for both sides, in FILE (only its owner can read it), or on standard output (without one, or with -)",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("token makes one, in one FILE") // what is too much may be one
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			token := syncdirectory.NewToken()
			if len(args) == 0 || args[0] == "-" {
				_, err := fmt.Fprintln(c.t.stdout, token)
				return err
			}
			err := writeSecret(args[0], token+"\n")
			if errors.Is(err, fs.ErrExist) {
				return usage("token: %s is there and stays: name another file", report.Quote(args[0]))
			}
			if err != nil {
				return fault.New(fault.Usage, "token: %w", err)
			}
			c.t.say("made %s: copy it to the other machine, and give --token-file on both", report.Quote(args[0]))
			return nil
		},
	}
}

// writeSecret makes a file that only its owner can read. One that is there already
// stays as it is.
func writeSecret(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
