// Package house holds the rules of this house: which package may import
// which, and what every package has.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sync-directory/sync-directory"

// rules says what each package may import of this module. Arrows point down:
// a package comes after all that it may import.
var rules = []struct {
	pkg    string
	may    string // names below internal/, separated by spaces; "." is the root
	reason string
}{
	{"digest", "", "the hash is at the bottom, and one package knows which it is"},
	{"fault", "", "codes are numbers and words, and everybody speaks"},
	{"queue", "", "a list needs to know nothing"},
	{"delta", "digest", "saying one content in terms of another is pure"},
	{"tree", "digest", "tree is pure: it runs in a test and in a browser"},
	{"tree/treetest", "tree", "a tree as text is for every test above"},
	{"report", "fault", "counting must not depend on what is counted"},
	{"wire", "delta digest fault tree", "the protocol knows no disk and no network"},
	{"wire/wiretest", "digest tree tree/treetest wire", "a scripted peer speaks over any wire.Conn"},
	{"dirfs", "fault tree", "the door to the disk knows what an entry is, and what both sides may be told of it"},
	{"lock", "digest fault", "a lock needs a name for a directory at most, and words for one that is held"},
	{"transport", "wire", "a network carries messages and does not understand them"},
	{"transport/transporttest", "wire", "the suite tests any wire.Conn"},
	{"access", "fault wire", "who may talk is decided before anybody says anything, over any transport"},
	{"resume", "fault report wire", "going on over another connection is the same for any session and any transport"},
	{"linksim", "", "a link carries bytes and knows nothing of them"},
	{"scan", "dirfs fault tree", "a scan is the same on both sides"},
	{"supply", "delta digest dirfs fault tree wire", "reading content does not depend on who asks"},
	{"cache", "delta digest dirfs tree", "what is kept of a file is what the system says of it, its digest and its outline"},
	{"contents", "cache digest dirfs supply tree", "content is digested the same on both sides"},
	{"stage", "digest dirfs fault tree wire", "staging does not depend on where content comes from"},
	{"backup", "dirfs fault stage tree wire", "saving what goes does not depend on why it goes"},
	{"apply", "backup dirfs fault scan stage tree wire", "applying a plan does not depend on a session"},
	{"sender", "cache contents delta digest dirfs fault queue report scan supply tree wire", "the rooms never see each other nor a network"},
	{"receiver", "apply backup cache contents delta digest dirfs fault queue report scan stage supply tree wire", "the rooms never see each other nor a network"},
	{".", "access apply backup cache digest dirfs fault lock receiver report resume sender stage transport tree wire", "the library ties rooms to networks"},
	{"sandbox", "", "what a process may do is said in words of the system; only a command has its process for itself, so the library never confines one"},
	{"cli", ". fault report sandbox", "the command sees the library as any other user does"},
	{"../cmd/sync-directory", "cli", "main is a few lines"},
	{"../bench", "digest linksim", "what is measured is the command, as its users have it"},
	{"house", "", "rules do not depend on what they rule"},
}

// only says which packages alone may import something from outside.
var only = map[string]struct{ pkg, reason string }{
	"github.com/gobwas/ws":                            {"transport", "the WebSocket is one file"},
	"github.com/zeebo/blake3":                         {"digest", "one package knows the hash"},
	"github.com/klauspost/compress/zstd":              {"wire", "who sends and receives messages need not know how they are compressed"},
	"github.com/zeebo/xxh3":                           {"digest", "one package knows the hash"},
	"github.com/spf13/cobra":                          {"cli", "the library has no command line"},
	"github.com/spf13/pflag":                          {"cli", "the library has no command line"},
	"github.com/landlock-lsm/go-landlock/landlock":    {"sandbox", "what a process may do is given up in one place"},
	"golang.org/x/term":                               {"cli", "only the command prints"},
	"github.com/cenkalti/backoff/v5":                  {".", "sessions do not connect"},
	"net/http":                                        {"transport", "HTTP ends where messages begin"},
	"google.golang.org/protobuf/proto":                {"wire", "the form of messages is nobody else's matter"},
	"google.golang.org/protobuf/reflect/protoreflect": {"wire", "the form of messages is nobody else's matter"},
}

// also are further packages that may import one of only.
var also = map[string][]string{"net/http": {"."}}

// source is one package that is not a test.
type source struct {
	imports []string
	docs    int
	inits   []string
}

// packages parses all of the module, for every system.
func packages(t *testing.T) map[string]*source {
	t.Helper()
	root := filepath.Join("..", "..")
	found := make(map[string]*source)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "." && d.Name() != ".." {
			if err == nil {
				return filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(filepath.Join(root, "internal"), filepath.Dir(path))
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == ".." {
			rel = "."
		}
		return parse(found, rel, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func parse(found map[string]*source, pkg, path string) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s := found[pkg]
	if s == nil {
		s = new(source)
		found[pkg] = s
	}
	if f.Doc != nil {
		s.docs++
	}
	for _, i := range f.Imports {
		s.imports = append(s.imports, strings.Trim(i.Path.Value, `"`))
	}
	if ast.IsGenerated(f) {
		return nil
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			s.inits = append(s.inits, path)
		}
	}
	return nil
}

func TestImports(t *testing.T) {
	found := packages(t)
	for _, rule := range rules {
		s := found[rule.pkg]
		if s == nil {
			if rule.pkg != "house" {
				t.Errorf("there is a rule for %s, which does not exist", rule.pkg)
			}
			continue
		}
		may := strings.Fields(rule.may)
		for _, path := range s.imports {
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/internal/")
			if path == module {
				name = "."
			}
			if !slices.Contains(may, name) {
				t.Errorf("%s imports %s: %s", rule.pkg, name, rule.reason)
			}
		}
	}
	for pkg := range found {
		if !slices.ContainsFunc(rules, func(r struct{ pkg, may, reason string }) bool { return r.pkg == pkg }) {
			t.Errorf("there is no rule for %s", pkg)
		}
	}
}

// TestRulesPointDown holds the rules themselves to their order.
func TestRulesPointDown(t *testing.T) {
	seen := make(map[string]bool)
	for _, rule := range rules {
		for _, name := range strings.Fields(rule.may) {
			if !seen[name] {
				t.Errorf("%s may import %s, which does not stand below it", rule.pkg, name)
			}
		}
		seen[rule.pkg] = true
	}
}

func TestOnly(t *testing.T) {
	used := make(map[string]bool)
	for pkg, s := range packages(t) {
		for _, path := range s.imports {
			o, ok := only[path]
			if !ok {
				continue
			}
			used[path] = true
			if pkg != o.pkg && !slices.Contains(also[path], pkg) {
				t.Errorf("%s imports %s: %s", pkg, path, o.reason)
			}
		}
	}
	for path := range only {
		if !used[path] {
			t.Errorf("there is a rule for %s, which nothing imports", path)
		}
	}
}

func TestPackages(t *testing.T) {
	for pkg, s := range packages(t) {
		if s.docs != 1 {
			t.Errorf("%s has %d package comments, not one", pkg, s.docs)
		}
		for _, path := range s.inits {
			t.Errorf("%s has an init function: say what happens where it happens", path)
		}
	}
}

// TestOneWebSocketFile holds the library for WebSockets to one file.
func TestOneWebSocketFile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "transport", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("no transport", err)
	}
	var with []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"github.com/gobwas/ws"`) {
			with = append(with, filepath.Base(path))
		}
	}
	if !slices.Equal(with, []string{"websocket.go"}) {
		t.Errorf("the WebSocket library is imported in %v", with)
	}
}

// TestCorpora fails where a fuzz target has no inputs to begin with, or there are some of
// one that is gone: it would find nothing, and tell nobody.
func TestCorpora(t *testing.T) {
	of := make(map[string]bool) // directories of seeds that belong to a target
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			dir := filepath.Join(filepath.Dir(path), "testdata", "fuzz", fn.Name.Name)
			of[dir] = true
			seeds, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(seeds) < 2 {
				t.Errorf("%s: %s has %d seeds", path, fn.Name.Name, len(seeds))
			}
			for _, seed := range seeds {
				if b, err := os.ReadFile(seed); err != nil || !strings.HasPrefix(string(b), "go test fuzz v1\n") || strings.Count(string(b), "\n") < 2 {
					t.Errorf("%s is no seed, %v", seed, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"../../testdata/fuzz/*", "../*/testdata/fuzz/*"} {
		dirs, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			if !of[filepath.Join("..", "..", "internal", strings.TrimPrefix(filepath.ToSlash(dir), "../"))] && !of[dir] {
				t.Errorf("%s belongs to no target", dir)
			}
		}
	}
	if len(of) < 25 {
		t.Errorf("there are %d targets, which can not be all", len(of))
	}
}
