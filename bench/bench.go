//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// bench has what all rows need.
type bench struct {
	work, disk, binary string
	runs               int
	changes            int // so far
}

func (b *bench) build() error {
	c := exec.Command("go", "build", "-o", b.binary, "./cmd/sync-directory")
	c.Stderr = os.Stderr
	return c.Run()
}

// result is what a row has come to.
type result struct {
	Name  string   `json:"name"`
	What  string   `json:"what"`
	Reach float64  `json:"reach,omitempty"`
	Tools []timing `json:"tools"`
}

// timing is what one tool took.
type timing struct {
	Name string   `json:"name"`
	Runs []sample `json:"runs"`
}

// measure runs the tools in turn. The first round warms up, and counts bytes
// where the link would not otherwise.
func (b *bench) measure(r row) (result, error) {
	root := b.work
	if r.disk {
		root = b.disk
	}
	dir := filepath.Join(root, r.name)
	defer os.RemoveAll(dir)
	from, kept := filepath.Join(dir, "from"), filepath.Join(dir, "kept")
	if err := os.MkdirAll(from, 0o755); err != nil {
		return result{}, err
	}
	if err := r.source(from); err != nil {
		return result{}, err
	}
	if r.have {
		if err := exec.Command("cp", "-a", from, kept).Run(); err != nil {
			return result{}, err
		}
	}
	res := result{Name: r.name, What: r.what, Reach: r.reach}
	for _, t := range r.tools {
		res.Tools = append(res.Tools, timing{Name: t.name})
	}
	for round := range b.runs + 1 {
		for i, t := range r.tools {
			s, err := b.once(r, t, from, kept, filepath.Join(dir, fmt.Sprintf("to-%d-%d", round, i)), round == 0)
			if err != nil {
				return res, fmt.Errorf("%s: %w", t.name, err)
			}
			runs := &res.Tools[i].Runs
			if len(*runs) > 0 && s.Bytes == 0 {
				s.Bytes, s.RoundTrips = (*runs)[0].Bytes, (*runs)[0].RoundTrips
			}
			*runs = append(*runs, s)
		}
	}
	for i := range res.Tools {
		res.Tools[i].Runs = res.Tools[i].Runs[1:]
	}
	return res, nil
}

// once runs a tool once, into a fresh directory.
func (b *bench) once(r row, t tool, from, kept, to string, first bool) (s sample, err error) {
	if r.have {
		to = kept // each run leaves it as the next one needs it
	} else {
		if !r.disk { // which would be slow for a while after that
			defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return s, err
		}
	}
	if r.change != nil {
		b.changes++
		if err := r.change(from, b.changes); err != nil {
			return s, err
		}
	}
	if r.disk {
		if err := exec.Command("sync", "-f", to).Run(); err != nil {
			return s, err
		}
	}
	var link *linksim.Link
	switch {
	case r.slow:
		link = &linksim.Link{Delay: slowDelay, Rate: slowRate}
	case first:
		link = new(linksim.Link)
	}
	s, err = t.run(b, from, to, link)
	if err == nil && first {
		err = equal(from, to)
	}
	return s, err
}

// equal lets rsync compare, which nobody here wrote.
func equal(from, to string) error {
	out, err := exec.Command("rsync", "-anic", "--delete", from+"/", to+"/").Output()
	if err == nil && len(strings.TrimSpace(string(out))) > 0 {
		err = fmt.Errorf("the directories differ: %.200s", out)
	}
	return err
}

// median returns the one in the middle of what part says of the runs.
func (t *timing) median(part func(sample) float64) float64 {
	var all []float64
	for _, s := range t.Runs {
		all = append(all, part(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (t *timing) seconds() float64 { return t.median(func(s sample) float64 { return s.Seconds }) }

// other returns the tool that ours is compared with: the first that is rsync.
func (r *result) other() *timing {
	for i := range r.Tools {
		if strings.HasPrefix(r.Tools[i].Name, "rsync") {
			return &r.Tools[i]
		}
	}
	return &r.Tools[0]
}

func (r *result) ratio() float64 { return r.Tools[0].seconds() / r.other().seconds() }

func (r *result) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s", r.Name)
	for i := range r.Tools {
		fmt.Fprintf(&b, "  %s %.2f s", r.Tools[i].Name, r.Tools[i].seconds())
	}
	fmt.Fprintf(&b, "  ratio %.2f", r.ratio())
	return b.String()
}
