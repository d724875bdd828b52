package dirfs_test

func nativeVariants() []variant { return nil }
