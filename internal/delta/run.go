package delta

// Run is a range of the new content that lies in the old one.
type Run struct{ From, Off, Length int64 }

func (r Run) end() int64 { return r.Off + r.Length }

// part returns what of r is between two places of the new content.
func (r Run) part(off, end int64) Run {
	off, end = max(off, r.Off), min(end, r.end())
	return Run{r.From + off - r.Off, off, end - off}
}

// without returns what of r is outside of another range of the new content.
func (r Run) without(other Run) (left []Run) {
	for _, p := range []Run{r.part(r.Off, other.Off), r.part(other.end(), r.end())} {
		if p.Length > 0 {
			left = append(left, p)
		}
	}
	return left
}

// Total returns how many bytes runs are of.
func Total(runs []Run) (n int64) {
	for _, r := range runs {
		n += r.Length
	}
	return n
}

// appendRun adds a run, to the last one where it goes on.
func appendRun(runs []Run, r Run) []Run {
	if n := len(runs); n > 0 {
		if last := &runs[n-1]; last.end() == r.Off && last.From+last.Length == r.From {
			last.Length += r.Length
			return runs
		}
	}
	return append(runs, r)
}
