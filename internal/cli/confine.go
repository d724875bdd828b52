package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sandbox"
)

// confinement returns what confines this process to what the flags name. It is called when
// the directories are open; what it must know of them before is found out now.
func (f *flags) confinement(log *slog.Logger) func() error {
	_, err := os.Lstat(f.backupDir)
	makes := f.backupDir != "" && errors.Is(err, os.ErrNotExist)
	return func() error {
		r, err := f.rules(makes)
		if err == nil {
			preload(dialled(f.to))
			err = sandbox.Confine(r)
		}
		switch {
		case errors.Is(err, sandbox.ErrNone):
			log.Info("not confined to the directories that were named", "cause", err)
			return nil
		case err != nil:
			return fault.New(fault.Path, "cannot confine this process to its directories: %w; --no-sandbox does without", err)
		}
		log.Debug("confined", "read", r.Read, "write", r.Write, "unmake", r.Unmake, "connect", r.Connect, "lookup", r.Lookup)
		return nil
	}
}

// rules returns what the process does from now on. Makes says that it makes the backup
// directory.
func (f *flags) rules(makes bool) (sandbox.Rules, error) {
	from, err := resolved(f.from)
	to, terr := resolved(f.outputDir)
	saved, serr := resolved(f.backupDir)
	if err := errors.Join(err, terr, serr); err != nil {
		return sandbox.Rules{}, err
	}
	r := sandbox.Rules{
		Read:  given(from, "/proc/sys/kernel/random/boot_id"), // by which a peer knows that it is on the same machine
		Write: given(to, saved),
	}
	if to != "" {
		// The kernel looks for a rule from what is opened upwards. Most is made here, so that
		// a cold run of many small files takes some hundredths less with one that is near.
		r.Write = append(r.Write, filepath.Join(to, ".sync-directory", "stage"))
	}
	if makes { // and removes it again, unless it has saved something there
		r.Unmake = given(filepath.Dir(saved))
	}
	// Nothing is kept where there is no cache now, nor in the source.
	if cache, err := resolved(f.cache()); err == nil && (from == "" || !lies(cache, from)) {
		r.Write = append(r.Write, given(cache)...)
	}
	if f.keepRunning {
		r.Read = append(r.Read, f.renewed()...)
	}
	r.Connect, r.Lookup = connections(dialled(f.to))
	return r, nil
}

// renewed returns the directories of the files that are read again on SIGHUP: who renews
// them puts other files in their places.
func (f *flags) renewed() (dirs []string) {
	for _, file := range given(f.cert, f.key, f.caCert) {
		// Where the name leads to now, and what it is in: it may lead elsewhere then.
		path, err := resolved(file)
		in, derr := resolved(filepath.Dir(file))
		if err == nil && derr == nil { // they were there a moment ago
			dirs = append(dirs, filepath.Dir(path), in)
		}
	}
	return dirs
}

// given returns those of paths that are not empty.
func given(paths ...string) []string {
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

// resolved returns the absolute path, without links, of what is there; "" of "".
func resolved(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// lies reports whether a directory is another one or lies in it.
func lies(dir, in string) bool {
	rel, err := filepath.Rel(in, dir)
	return err == nil && filepath.IsLocal(rel)
}

// dialled returns what a dialer of address may connect to: that, and the proxies that the
// environment names; nothing for "". What cannot be parsed is refused when it is dialled.
func dialled(address string) (urls []*url.URL) {
	if address == "" {
		return nil
	}
	addresses := []string{address}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		addresses = append(addresses, os.Getenv(name))
	}
	for _, a := range given(addresses...) {
		u, err := url.Parse(a)
		if err != nil || u.Host == "" { // a proxy may be given without a scheme
			u, err = url.Parse("http://" + a)
		}
		if err == nil {
			urls = append(urls, u)
		}
	}
	return urls
}

// connections returns the ports of urls, and whether one names its host.
func connections(urls []*url.URL) (ports []uint16, lookup bool) {
	usual := map[string]string{"ws": "80", "wss": "443", "http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	for _, u := range urls {
		if port, err := strconv.ParseUint(cmp.Or(u.Port(), usual[u.Scheme]), 10, 16); err == nil {
			ports = append(ports, uint16(port))
		}
		_, err := netip.ParseAddr(u.Hostname())
		lookup = lookup || err != nil
	}
	return ports, lookup
}

// preload reads what is otherwise read when it is first needed: the time zone for what is
// logged, the system's certificates for whom to trust.
func preload(urls []*url.URL) {
	_ = time.Local.String()
	if slices.ContainsFunc(urls, func(u *url.URL) bool { return u.Scheme == "wss" || u.Scheme == "https" }) {
		_, _ = x509.SystemCertPool() // whoever is not trusted for that is told so
	}
}
