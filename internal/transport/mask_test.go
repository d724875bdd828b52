package transport

import "testing"

// BenchmarkMask masks a message where it lies, as a dialler does with all that
// it sends.
func BenchmarkMask(b *testing.B) {
	payload := make([]byte, 1<<20)
	h := header{Masked: true, Mask: [4]byte{1, 2, 3, 4}}
	b.SetBytes(1 << 20)
	for b.Loop() {
		unmask(payload, &h, 0)
	}
}
