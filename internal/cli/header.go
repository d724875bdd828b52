package cli

import (
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strings"
)

// headerLimit bounds a file with header fields: no proxy takes so many.
const headerLimit = 64 << 10

// readHeaders puts together what --header says, for the library to judge.
func (f *flags) readHeaders() error {
	f.headers = make(map[string][]string)
	for _, arg := range f.header {
		path, fromFile := strings.CutPrefix(arg, "@")
		if !fromFile {
			if err := f.addHeader("--header", arg); err != nil {
				return err
			}
			continue
		}
		lines, err := readLines(path)
		if err != nil {
			return usage("--header @%s: %w", path, err)
		}
		for n, line := range lines {
			if line == "" || line[0] == '#' {
				continue
			}
			if err := f.addHeader(fmt.Sprintf("--header @%s: line %d", path, n+1), line); err != nil {
				return err
			}
		}
	}
	return nil
}

// addHeader takes a line apart. Its error does not show the line, which may be secret
// as a whole where the colon is missing.
func (f *flags) addHeader(where, line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return usage("%s is none: it must be 'Name: value'", where)
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	f.headers[name] = append(f.headers[name], strings.Trim(value, " \t"))
	return nil
}

// readLines reads a file as curl does for the same flag, whoever may read it and
// through links: secrets are mounted into containers as links to files that all in
// there may read. A pipe will do.
func readLines(path string) (lines []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, headerLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > headerLimit {
		return nil, fmt.Errorf("it has more than %d bytes", headerLimit)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		lines = append(lines, strings.TrimSuffix(line, "\r"))
	}
	return lines, nil
}
