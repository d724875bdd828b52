//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
)

// report is all that was measured.
type report struct {
	Machine string   `json:"machine"`
	Runs    int      `json:"runs"`
	Limits  []limit  `json:"limits"`
	Rows    []result `json:"rows"`
}

// keep takes over rows that were not measured this time from the report that is
// there, if it is of the same machine.
func (r *report) keep(dir string) {
	var old report
	b, err := os.ReadFile(filepath.Join(dir, "runs.json"))
	if err != nil || json.Unmarshal(b, &old) != nil || old.Machine != r.Machine {
		return
	}
	measured := make(map[string]result)
	for _, row := range append(old.Rows, r.Rows...) {
		measured[row.Name] = row
	}
	r.Rows = nil
	for _, row := range rows() {
		if m, ok := measured[row.name]; ok {
			r.Rows = append(r.Rows, m)
		}
	}
}

func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"runs.json": string(all) + "\n", "README.md": r.table(), "ratios.svg": r.plot()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Beside rsync, tar and cp\n\nMade by `make bench`: medians of %d runs in turn, on %s. Inputs and results in\nmemory but for the durable row, which wants a disk that has not just lost many files:\next4 then is several times slower for any program. CPU is that of both sides, memory that of the side\nthat took more. Round trips are half of the times at which the direction changed, also for an\nacknowledgement for which nobody waits. The ratio is our time over that of rsync. All runs are in\n[runs.json](runs.json).\n\n![our time over that of rsync](ratios.svg)\n\n", r.Runs, r.Machine)
	b.WriteString("| work | tool | time | CPU | memory | bytes | round trips | ratio | to reach |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		other := row.other().seconds()
		for k := range row.Tools {
			t := &row.Tools[k]
			what, reach, trips, sent := "", "", "", ""
			if k == 0 {
				what = row.What
				if row.Reach > 0 {
					if reach = fmt.Sprintf("%.2f", row.Reach); row.ratio() > row.Reach+0.005 {
						reach += ", **missed**"
					}
				}
			}
			if s := t.Runs[0]; s.Bytes > 0 {
				sent, trips = humanize.Bytes(uint64(s.Bytes)), fmt.Sprint(s.RoundTrips)
			}
			fmt.Fprintf(&b, "| %s | %s | %.2f s | %.2f s | %s | %s | %s | %.2f | %s |\n", what, strings.ReplaceAll(t.Name, "|", "\\|"), t.seconds(),
				t.median(func(s sample) float64 { return s.CPU }), humanize.IBytes(uint64(t.median(func(s sample) float64 { return float64(s.Memory) }))), sent, trips, t.seconds()/other, reach)
		}
	}
	b.WriteString(r.profiles())
	b.WriteString("\n## Limits of this machine\n\nWhat it can do of one thing alone, beside what the whole reaches.\n\n| what | limit |\n|---|---|\n")
	for _, l := range r.Limits {
		if l.Unit == "files/s" {
			fmt.Fprintf(&b, "| %s | %s %s |\n", l.What, humanize.Comma(int64(l.Value)), l.Unit)
		} else {
			fmt.Fprintf(&b, "| %s | %.1f %s |\n", l.What, l.Value, l.Unit)
		}
	}
	return b.String()
}

// profiles says why the rows take long that take longer than they should, or
// than rsync does.
func (r *report) profiles() string {
	var b strings.Builder
	for _, row := range rows() {
		for i := range r.Rows {
			m := &r.Rows[i]
			if m.Name == row.name && row.why != "" && (m.ratio() > 1 || row.reach > 0 && m.ratio() > row.reach+0.005) {
				fmt.Fprintf(&b, "- %s: %s\n", row.what, row.why)
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n## Where the time goes\n\nOf what takes longer than it should, or than rsync.\n\n" + b.String()
}

// plot draws a bar for each row: our time over that of rsync, which is 1.
func (r *report) plot() string {
	const left, width, height, top = 400, 420, 26, 44
	total := top + height*len(r.Rows) + 30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", left+width+70, total, left+width+70, total)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	fmt.Fprintf(&b, `<text x="10" y="24" font-size="15" font-weight="bold">Our time, where rsync takes 1 (shorter is faster)</text>`+"\n")
	for i := range r.Rows {
		row, y := &r.Rows[i], top+height*i
		w := min(row.ratio(), 1.1) * width / 1.1
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+17, row.What)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#2a78b5"/>`+"\n", left, y+4, w, height-9)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%.2f</text>`+"\n", left+width+14, y+17, row.ratio())
		if row.Reach > 0 {
			x := left + row.Reach*width/1.1
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#d95f02" stroke-width="2"/>`+"\n", x, y+1, x, y+height-2)
		}
	}
	one := left + width/1.1
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#555" stroke-dasharray="4 3"/>`+"\n", one, top, one, total-26)
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">rsync</text>`+"\n", one, total-10)
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#d95f02">orange: to reach</text>`+"\n</svg>\n", left, total-10)
	return b.String()
}
