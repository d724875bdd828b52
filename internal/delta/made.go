package delta

// Made is what of a new content was made of the old one, rightly or not, before
// a Plan was there.
type Made struct{ runs []Run }

// Add adds a run that was made after all others.
func (m *Made) Add(r Run) {
	kept := m.runs[:0:0]
	for _, old := range m.runs {
		for _, k := range old.without(r) {
			kept = appendRun(kept, k)
		}
	}
	m.runs = appendRun(kept, r)
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
