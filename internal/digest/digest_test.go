package digest

import (
	"fmt"
	"testing"
)

// TestVectors holds the digests to official test vectors of BLAKE3: input
// byte i is i modulo 251.
func TestVectors(t *testing.T) {
	for n, want := range map[int]string{
		0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
		102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i % 251)
		}
		if got := Sum(b).String(); got != want {
			t.Errorf("Sum of %d bytes = %s, want %s", n, got, want)
		}
	}
}

// TestChecksum holds the checksums to what xxhsum -H2 prints.
func TestChecksum(t *testing.T) {
	for n, want := range map[int]string{
		0:      "99aa06d3014798d86001c324468d497f",
		1:      "a6cd5e9392000f6ac44bdff4074eecdb",
		1024:   "d0ac1f7b93bf57b9e5d78bafa45b2aa5",
		102400: "ecd387d36185351b1428e17f1cac2837",
	} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i % 251)
		}
		if got := Check(b).String(); got != want {
			t.Errorf("Check of %d bytes = %s, want %s", n, got, want)
		}
	}
}

func TestChecks(t *testing.T) {
	var c Checks
	if got := c.Sum(); got != Check(nil) {
		t.Errorf("of nothing: %s", got)
	}
	var all []byte
	for i := range 1000 {
		one := Check([]byte{byte(i)})
		c.Add(one)
		all = append(all, one[:]...)
		if got, want := c.Sum(), Check(all); got != want {
			t.Fatalf("of %d: %s, want %s", i+1, got, want)
		}
	}
}

// TestContent holds the two levels of content digests together.
func TestContent(t *testing.T) {
	b := make([]byte, 3*ChunkSize+7)
	for i := range b {
		b[i] = byte(i)
	}
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7} {
		var chunks []Digest
		for rest := b[:n]; len(rest) > 0; rest = rest[min(len(rest), ChunkSize):] {
			chunks = append(chunks, Sum(rest[:min(len(rest), ChunkSize)]))
		}
		h := NewHasher()
		for _, d := range chunks {
			h.Write(d[:])
		}
		if int64(len(chunks)) != Chunks(int64(n)) {
			t.Errorf("%d bytes have %d chunks, Chunks says %d", n, len(chunks), Chunks(int64(n)))
		}
		if got, want := ContentOf(b[:n]), h.Sum(); got != want {
			t.Errorf("%d bytes: ContentOf %s, by hand %s", n, got, want)
		}
	}
	if one := ContentOf(b[:5]); one == Sum(b[:5]) {
		t.Error("a content digest is not to be a chunk digest")
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		buf := make([]byte, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				Sum(buf)
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1 << 10, 64 << 10, 1 << 20} {
		buf := make([]byte, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				Check(buf)
			}
		})
	}
}
