//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKillWhileMoving kills a run at a random moment, in which directories and
// files move, some of them to where something of another type is. Every path is as
// it was or as it shall be, nothing that moves is lost, nor what makes way before all
// is in place, or at all with a backup, and the next run heals.
func TestKillWhileMoving(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir, err := os.MkdirTemp(memory(), "kill")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	old, in, out, saved := filepath.Join(dir, "old"), filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "saved")
	const many = 150
	when := time.Unix(1e9, 0)
	write := func(path, content string) {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
		must(t, os.Chtimes(path, when, when))
	}
	for i := range many {
		more := strings.Repeat(" and more", 30+i)
		for k := range 3 {
			write(fmt.Sprintf("%s/d%d/sub/%d", old, i, k), fmt.Sprint(i, " ", k, more))
		}
		must(t, os.Chtimes(fmt.Sprintf("%s/d%d/sub", old, i), when, when))
		write(fmt.Sprintf("%s/file%d", old, i), fmt.Sprint(i, more, more))
		write(fmt.Sprintf("%s/onto%d", old, i), fmt.Sprint("makes way ", i))
	}
	if said, err := exec.Command("cp", "-a", old, in).CombinedOutput(); err != nil {
		t.Fatalf("cp: %s", said)
	}
	mv := func(from, to string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(in, to)), 0o755))
		must(t, os.Rename(filepath.Join(in, from), filepath.Join(in, to)))
	}
	for i := range many {
		d := fmt.Sprint("d", i)
		switch i % 3 {
		case 0:
			mv(d, "renamed-"+d)
		case 1:
			mv(d, "new/"+d+"/deep")
		case 2:
			must(t, os.Remove(fmt.Sprintf("%s/onto%d", in, i)))
			mv(d, fmt.Sprint("onto", i))
		}
		mv(fmt.Sprint("file", i), fmt.Sprint("name", i))
	}
	before, err := look(old)
	must(t, err)
	want, err := look(in)
	must(t, err)
	displaced := make(map[string]bool)
	for path, s := range before {
		if strings.HasPrefix(path, "onto") {
			displaced[s.Content] = true
		}
	}
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	var took time.Duration
	killed := 0
	for round := range rounds {
		must(t, os.RemoveAll(out))
		if said, err := exec.Command("cp", "-a", old, out).CombinedOutput(); err != nil {
			t.Fatalf("cp: %s", said)
		}
		must(t, errors.Join(os.RemoveAll(saved), os.Mkdir(saved, 0o755)))
		args := []string{"--from", in, "--output-dir", out}
		if round%2 == 1 {
			args = append(args, "--backup-dir", saved)
		}
		begun := time.Now()
		run := begin(t, args...)
		if round > 0 { // the first tells how long it takes when nothing happens
			time.Sleep(time.Duration(r.Int64N(int64(took))))
			_ = run.cmd.Process.Kill() // it may have ended
		}
		switch code := run.ends(patience); {
		case code == 0:
			took = max(took, time.Since(begun))
		case round == 0:
			t.Fatalf("code %d: %s", code, run.out.String())
		default:
			killed++
		}
		now, err := look(out)
		must(t, err)
		kept := make(map[string]bool)
		for path, s := range now {
			file := s.Mode&unix.S_IFMT == unix.S_IFREG
			// What moves may be in the stage, where the next run takes it up, but what makes
			// way would be cleared there, unless its name tells.
			if !strings.HasPrefix(path, ".sync-directory/stage/") || !displaced[s.Content] || strings.Contains(path, "-moves") {
				kept[s.Content] = true
			}
			if file && !strings.HasPrefix(path, ".sync-directory/") && s.Content != before[path].Content && s.Content != want[path].Content {
				t.Errorf("round %d: %s is torn", round, path)
			}
		}
		old, err := look(saved)
		must(t, err)
		for path, s := range old {
			kept[s.Content] = true
			if s.Mode&unix.S_IFMT == unix.S_IFREG && !strings.HasPrefix(path, ".sync-directory/") && s.Content != before[path].Content {
				t.Errorf("round %d: %s is saved torn", round, path)
			}
		}
		complete := round%2 == 0 // otherwise what makes way is saved
		for path, s := range want {
			complete = complete && now[path].Content == s.Content && now[path].Mode&unix.S_IFMT == s.Mode&unix.S_IFMT
		}
		for path, s := range before {
			if _, there := now[path]; !there && want[path] != (seen{}) {
				t.Errorf("round %d: %s is missing", round, path)
			}
			if !kept[s.Content] && !(complete && strings.HasPrefix(path, "onto")) {
				t.Errorf("round %d: the content of %s is lost", round, path)
			}
		}
		next := begin(t, args...)
		if code := next.ends(patience); code != 0 {
			t.Errorf("round %d: the next run ends with %d: %s", round, code, next.out.String())
		}
		check(t, "healed", want, out)
		if round%2 == 1 {
			for i := 2; i < many; i += 3 {
				b, err := os.ReadFile(fmt.Sprintf("%s/onto%d", saved, i))
				if must(t, err); string(b) != fmt.Sprint("makes way ", i) {
					t.Errorf("round %d: onto%d is saved as %q", round, i, b)
				}
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if t.Logf("a run takes %v, %d of %d were killed", took, killed, rounds); killed == 0 {
		t.Error("none was killed")
	}
}
