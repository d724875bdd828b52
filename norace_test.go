//go:build !race

package syncdirectory

// raceDetector says that everything takes a few times as long.
const raceDetector = false
