package dirfs_test

import "github.com/sync-directory/sync-directory/internal/dirfs"

func nativeVariants() []variant {
	return []variant{
		{"linux", dirfs.OpenRoot, true},
		{"linux-without-openat2", dirfs.OpenPlain, true},
	}
}
