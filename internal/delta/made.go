package delta

import (
	"cmp"
	"slices"
)

// Made is what of a new content was made of the old one, rightly or not, before
// a Plan was there.
type Made struct{ runs []Run } // in the order of the new content

// Add adds a run that was made after all others.
func (m *Made) Add(r Run) {
	all := []Run{r}
	for _, old := range m.runs {
		all = append(all, old.without(r)...)
	}
	slices.SortFunc(all, func(a, b Run) int { return cmp.Compare(a.Off, b.Off) })
	m.runs = m.runs[:0]
	for _, run := range all {
		m.runs = appendRun(m.runs, run)
	}
}

// Rest returns what of the runs of a plan is not made, in their order.
func (m *Made) Rest(runs []Run) (rest []Run) {
	for _, r := range runs {
		left := []Run{r}
		for _, made := range m.runs {
			if made.Off-made.From != r.Off-r.From {
				continue
			}
			var next []Run
			for _, l := range left {
				next = append(next, l.without(made)...)
			}
			left = next
		}
		rest = append(rest, left...)
	}
	return rest
}
