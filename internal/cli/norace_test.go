//go:build !race

package cli_test

// raceDetector says that everything takes a few times as long.
const raceDetector = false
