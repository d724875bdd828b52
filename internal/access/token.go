// Package access decides who may talk: tokens, and what is proved and hidden with
// them. SECURITY.md writes the construction out.
//
// Its law: it is made of the standard library's cryptography alone, and all that it
// refuses is refused in the same words and after the same time.
package access

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Token is a secret that both sides know. It does not print itself.
type Token struct{ text string }

// The least that a token has: 22 characters of base64 hold 128 bits. One that is
// made of a few characters, over and over, has been typed, not drawn.
const (
	minLength   = 22
	maxLength   = 1 << 10
	minDistinct = 8
)

// New returns the text of a new token: 256 random bits.
func New() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Parse returns the token that is written as text, or why it cannot be one.
func Parse(text string) (*Token, error) {
	distinct := make(map[rune]bool)
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return nil, fmt.Errorf("a token is one line of printable ASCII without spaces")
		}
		distinct[c] = true
	}
	switch {
	case len(text) < minLength:
		return nil, fmt.Errorf("a token has at least %d characters: make one with `sync-directory token`", minLength)
	case len(text) > maxLength:
		return nil, fmt.Errorf("a token has at most %d characters", maxLength)
	case len(distinct) < minDistinct:
		return nil, fmt.Errorf("a token is drawn at random: make one with `sync-directory token`")
	}
	return &Token{strings.Clone(text)}, nil
}

const hidden = "(a token)"

// Format prints that there is one, whatever is asked for.
func (t *Token) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, hidden) }

// LogValue hides it in logs.
func (t *Token) LogValue() slog.Value { return slog.StringValue(hidden) }

// key derives 32 bytes for one purpose.
func (t *Token) key(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, []byte(t.text), []byte("sync-directory v1"), purpose, 32)
	if err != nil {
		panic("access: " + err.Error()) // lengths, which are constant
	}
	return k
}
