package tree_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
)

func TestCheckName(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
	}{
		{"a", nil},
		{"...", nil},
		{"..a", nil},
		{".a", nil},
		{"-rf", nil},
		{" ", nil},
		{"a\nb", nil},
		{"\xff\xfe", nil},
		{"a\\b", nil},
		{strings.Repeat("x", tree.MaxName), nil},
		{strings.Repeat("x", tree.MaxName+1), tree.ErrNameLong},
		{strings.Repeat("/", tree.MaxName+1), tree.ErrNameLong},
		{"", tree.ErrNameEmpty},
		{".", tree.ErrNameDots},
		{"..", tree.ErrNameDots},
		{"/", tree.ErrNameByte},
		{"a/", tree.ErrNameByte},
		{"/a", tree.ErrNameByte},
		{"a/b", tree.ErrNameByte},
		{"../a", tree.ErrNameByte},
		{"\x00", tree.ErrNameByte},
		{"a\x00", tree.ErrNameByte},
	} {
		if got := tree.CheckName(c.name); !errors.Is(got, c.want) {
			t.Errorf("CheckName(%.20q) = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestIsReserved(t *testing.T) {
	for name, want := range map[string]bool{
		".sync-directory":  true,
		".SYNC-Directory":  true,
		".ſync-directory":  true, // a long s, which folds onto s
		".sync-directory ": false,
		"sync-directory":   false,
		".sync_directory":  false,
		"":                 false,
	} {
		if got := (tree.Canon{FoldsCase: true}).IsReserved(name); got != want {
			t.Errorf("IsReserved(%q) = %v where case folds, want %v", name, got, want)
		}
		if got, want := tree.Exact.IsReserved(name), name == tree.Reserved; got != want {
			t.Errorf("IsReserved(%q) = %v where case counts, want %v", name, got, want)
		}
	}
}
