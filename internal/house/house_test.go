package house

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/resnet-run/resnet-run"

// allowed maps each package (or a tree of them, with /...) to the packages of ours that it may import directly.
// Imports point one way: commands → backends → contract → graph. The longest matching pattern counts.
var allowed = map[string][]string{
	"graph":                          {},
	"graph/...":                      {"graph"},
	"graph/onnx":                     {"graph", "graph/onnx/proto", "graph/weights"},
	"graph/onnx/proto":               {},
	"graph/onnx/proto/prototest":     {"graph/onnx/proto"},
	"graph/weights":                  {"graph", "graph/onnx/proto"},
	"backend":                        {"graph"},
	"backend/reference":              {"backend", "backend/hostmem", "graph"},
	"backend/schedule":               {"backend", "graph", "internal/stopwatch"},
	"conformance":                    {"backend", "graph", "graph/resnet", "graph/pass", "backend/reference", "internal/seeded", "internal/stopwatch"},
	"shaders":                        {},
	"backend/vulkan":                 {"backend", "backend/reference", "graph", "shaders", "backend/vulkan/internal/...", "internal/stopwatch"},
	"backend/vulkan/internal/vk":     {},
	"backend/vulkan/present":         {"backend/vulkan/internal/vk"},
	"backend/vulkan/internal/facts":  {"backend/vulkan/internal/vk"},
	"backend/vulkan/internal/tune":   {},
	"backend/internal/arena":         {},
	"backend/hostmem":                {"backend", "graph"},
	"backend/vulkan/internal/plan":   {"backend", "backend/internal/arena", "graph", "shaders"},
	"backend/cpu":                    {"backend", "backend/hostmem", "backend/internal/...", "graph", "backend/cpu/internal/...", "internal/stopwatch", "internal/machine"},
	"backend/cpu/internal/...":       {},
	"backend/vulkan/internal/vktest": {"backend/vulkan/internal/vk", "internal/backendtest/drivers"},
	"internal/fastest":               {"backend", "graph", "internal/stopwatch"},
	"internal/similar":               {},
	"internal/stopwatch":             {},
	"internal/hub":                   {},
	"internal/serve":                 {"graph", "backend", "internal/imaging", "internal/model", "internal/report", "internal/stopwatch"},
	"internal/backendtest":           {"backend", "backend/reference", "graph", "graph/head", "graph/pass", "graph/resnet", "internal/golden", "internal/seeded"},
	"internal/backendtest/...":       {"backend", "backend/vulkan"},
	"internal/backendtest/drivers":   {},
	"internal/golden":                {"graph", "graph/onnx", "graph/onnx/proto", "graph/resnet", "graph/weights", "internal/seeded"},
	"internal/seeded":                {},
	"internal/house":                 {},
	"internal/machine":               {},
	"internal/submission":            {"backend", "conformance", "graph", "internal/report"},
	"internal/compare":               {"backend", "backend/reference", "conformance", "graph"},
	"internal/imaging":               {"internal/imaging/..."},
	"internal/heat":                  {"internal/imaging"},
	"internal/imaging/...":           {},
	"internal/viewer":                {"internal/heat", "internal/imaging", "internal/model/pictures"},
	"internal/viewer/window":         {"backend/vulkan/present", "internal/viewer"},
	"internal/viewer/xvfb":           {},
	"internal/model":                 {"graph", "graph/...", "backend/reference", "internal/imaging", "internal/seeded"},
	"internal/model/pictures":        {},
	"internal/model/pipeline":        {"graph", "graph/...", "backend", "internal/imaging", "internal/model", "internal/model/pictures", "internal/stopwatch"},
	"internal/model/modeltest":       {"graph", "graph/onnx/proto", "graph/onnx/proto/prototest", "graph/resnet"},
	"internal/bench":                 {"backend", "backend/reference", "graph", "graph/pass", "internal/seeded", "internal/stopwatch", "internal/machine"},
	"internal/profile":               {"backend", "graph"},
	"internal/report":                {"backend", "backend/schedule", "conformance", "internal/bench", "internal/compare", "internal/profile", "graph", "graph/resnet", "internal/model", "internal/model/pipeline", "internal/imaging"},
	"tools/...":                      {"internal/imaging"},
	"tools/peers/...":                {"graph", "graph/...", "backend", "backend/cpu"},
	"tools/mutate":                   {"conformance", "shaders"},
	"tools/mutate/worker":            {"backend", "backend/vulkan", "conformance"},
	"internal/cmd/genshaders":        {"shaders"},
	"internal/cmd/genkernels":        {},
	"internal/cmd/genproto":          {},
	"plugins/proto/...":              {},
	"plugins/wire":                   {"backend", "graph", "plugins/proto/..."},
	"plugins":                        {"backend", "graph", "plugins/wire", "plugins/proto/...", "plugins/internal/..."},
	"plugins/host":                   {"backend", "graph", "plugins/wire", "plugins/proto/...", "plugins/internal/...", "internal/stopwatch", "internal/machine"},
	"plugins/internal/...":           {},
	"plugins/examples":               {},
	"plugins/examples/...":           {"backend", "backend/hostmem", "graph", "plugins"},
	"cmd/resnet-run":                 {"graph", "graph/...", "backend", "backend/...", "conformance", "internal/...", "plugins/..."},
}

// helpers are for tests alone: they may import testing, and nothing but tests may import them.
var helpers = []string{"graph/onnx/proto/prototest", "backend/vulkan/internal/vktest", "internal/backendtest", "internal/backendtest/vulkantest", "internal/backendtest/drivers", "internal/viewer/xvfb", "internal/golden", "internal/model/modeltest"}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
	CgoFiles        []string
}

// list has the packages of the build with the viewer, which are all.
func list(t *testing.T) []listed {
	t.Helper()
	return listWith(t, "-tags=viewer", module+"/...")
}

func listWith(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Imports,GoFiles,CgoFiles"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module+"/")
		rule := ""
		for pattern := range allowed {
			if matches(pattern, pkg) && len(pattern) > len(rule) {
				rule = pattern
			}
		}
		if rule == "" {
			t.Errorf("package %s has no rule: say in this test what it may import", pkg)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module+"/")
			if slices.Contains(helpers, dep) && !slices.Contains(helpers, pkg) {
				t.Errorf("package %s imports %s, which is for tests", pkg, dep)
			}
			if ours && !anyMatches(allowed[rule], dep) {
				t.Errorf("package %s imports %s: want only %v", pkg, dep, allowed[rule])
			}
			if imp == "testing" && !slices.Contains(helpers, pkg) {
				t.Errorf("package %s imports testing", pkg)
			}
		}
	}
}

// TestOnlyOnePackageSeesVulkanGo keeps the unsafe library behind its cover.
func TestOnlyOnePackageSeesVulkanGo(t *testing.T) {
	seen := false
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			if imp == "github.com/vulkan-go/vulkan" {
				seen = true
				if p.ImportPath != module+"/backend/vulkan/internal/vk" {
					t.Errorf("%s imports %s", p.ImportPath, imp)
				}
			}
		}
	}
	if !seen {
		t.Error("no package imports vulkan-go: this test looks for the wrong name")
	}
}

// TestOnlyTheWindowSeesGLFW: the ordinary build needs nothing of a window system, at build time or when the program starts.
func TestOnlyTheWindowSeesGLFW(t *testing.T) {
	const glfw = "github.com/go-gl/glfw/v3.3/glfw"
	seen := false
	for _, p := range list(t) {
		if slices.Contains(p.Imports, glfw) {
			seen = true
			if p.ImportPath != module+"/internal/viewer/window" {
				t.Errorf("%s imports %s", p.ImportPath, glfw)
			}
		}
	}
	if !seen {
		t.Error("no package imports GLFW: this test looks for the wrong name, or at the wrong build")
	}
	for _, p := range listWith(t, "-deps", module+"/...") {
		if p.ImportPath == glfw {
			t.Errorf("the build without the tag viewer has %s", glfw)
		}
	}
}

func anyMatches(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

func matches(pattern, pkg string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, tree+"/")
	}
	return pattern == pkg
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, pkg string
		want         bool
	}{
		{"graph", "graph", true}, {"graph", "graph/pass", false}, {"graph/...", "graph/pass", true},
		{"graph/...", "graph", false}, {"graph/...", "graphics/x", false},
	} {
		if got := matches(c.pattern, c.pkg); got != c.want {
			t.Errorf("matches(%q, %q): got %v, want %v", c.pattern, c.pkg, got, c.want)
		}
	}
}

// TestPathsInTheDocumentsExist follows every relative link of the documents at the root.
func TestPathsInTheDocumentsExist(t *testing.T) {
	root := filepath.Join("..", "..")
	link := regexp.MustCompile(`\]\(([^)#:]+)\)|src="([^"]+)"`)
	found := 0
	for _, doc := range []string{"README.md", "RATIONALE.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, m[1]+m[2])); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d links only: the pattern is wrong", found)
	}
}

// TestFilesAreShortAndPackagesDocumented: files have at most 500 lines unless generated, every package has a comment.
func TestFilesAreShortAndPackagesDocumented(t *testing.T) {
	for _, p := range list(t) {
		documented := false
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || f.Doc != nil
			if lines := strings.Count(string(src), "\n"); lines > 500 && !strings.HasPrefix(string(src), "// Code generated ") {
				t.Errorf("%s has %d lines, want at most 500", path, lines)
			}
		}
		if !documented {
			t.Errorf("package %s has no package comment", p.ImportPath)
		}
	}
}
