package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestNoDivisionIsDoneEarlier compares with all divisions of a small batch.
func TestNoDivisionIsDoneEarlier(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		n, speeds := r.IntN(14), make([]float64, 1+r.IntN(3))
		for i := range speeds {
			speeds[i] = float64(r.IntN(9)) * []float64{1, 0.37, 1e6}[r.IntN(3)]
		}
		speeds[r.IntN(len(speeds))] = 1 + r.Float64()
		got, sum := shares(n, speeds), 0
		for i, s := range got {
			if sum += s; s < 0 || s > 0 && speeds[i] == 0 {
				t.Fatalf("%d samples over %v: got %v", n, speeds, got)
			}
		}
		if want := soonest(n, speeds); sum != n || end(got, speeds) > want {
			t.Fatalf("%d samples over %v: got %v, done after %g, want %g", n, speeds, got, end(got, speeds), want)
		}
	}
	if got := fmt.Sprint(shares(1<<24, []float64{1, 3, 0})); got != fmt.Sprint([]int{1 << 22, 3 << 22, 0}) {
		t.Errorf("got %s", got)
	}
}

func end(shares []int, speeds []float64) float64 {
	last := 0.0
	for i, n := range shares {
		if n > 0 {
			last = max(last, float64(n)/speeds[i])
		}
	}
	return last
}

func soonest(n int, speeds []float64) float64 {
	if len(speeds) == 1 {
		if speeds[0] == 0 && n > 0 {
			return 1e300
		}
		return end([]int{n}, speeds)
	}
	best := 1e300
	for first := range n + 1 {
		if speeds[0] > 0 || first == 0 {
			best = min(best, max(end([]int{first}, speeds[:1]), soonest(n-first, speeds[1:])))
		}
	}
	return best
}

func TestChunksAreEqual(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 1, 3: 1, 4: 1, 5: 5, 6: 2, 7: 7, 8: 2, 9: 3, 64: 16} {
		if got := chunkOf(n); got != want {
			t.Errorf("%d samples: got chunks of %d, want %d", n, got, want)
		}
	}
}

func parse(t testing.TB, lines ...string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader("graph g\n" + strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestOnlySamplesThatAreAloneMayBeDivided(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  int
		lines []string
	}{
		{"a network", 3, []string{"input %x : float32[3,2,4,4]", "param @w : float32[5,2,3,3]", "%y = conv2d(%x, @w)", "%z = flatten(%y)", "%s = softmax(%z)", "output %s"}},
		{"two inputs", 3, []string{"input %x : float32[3,2]", "input %y : float32[3,2]", "%z = add(%x, %y)", "output %z"}},
		{"a fused shortcut", 2, []string{"input %x : float32[2,4,3,3]", "param @w : float32[4,4,1,1]", "param @b : float32[4]", "%y = conv2d(%x, @w, @b, %x) bias=true add=true", "output %y"}},
		{"an input alone", 4, []string{"input %x : float32[4,2]", "%y = relu(%x)", "output %x", "output %y"}},
		{"two batches", 0, []string{"input %x : float32[3,2]", "input %y : float32[2,2]", "%z = relu(%x)", "output %z"}},
		{"softmax along the batch", 0, []string{"input %x : float32[3]", "%y = softmax(%x)", "output %y"}},
		{"weights that are an input", 0, []string{"input %x : float32[2,2,4,4]", "input %w : float32[2,2,1,1]", "%y = conv2d(%x, %w)", "output %y"}},
		{"a parameter for each sample", 0, []string{"input %x : float32[3,2]", "param @p : float32[3,2]", "%z = add(%x, @p)", "output %z"}},
		{"a shortcut that is a parameter", 0, []string{"input %x : float32[2,4,3,3]", "param @w : float32[4,4,1,1]", "param @p : float32[2,4,3,3]", "%y = conv2d(%x, @w, @p) add=true", "output %y"}},
		{"an empty batch", 0, []string{"input %x : float32[0,2]", "%y = relu(%x)", "output %y"}},
	} {
		if got := batchOf(parse(t, c.lines...)); got != c.want {
			t.Errorf("%s: got batch %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a.b/c", true}, {"a", "a", true}, {"a", "ab", false}, {"?", "", false},
		{"layer*.conv2", "layer1.0.conv2", true}, {"layer*.conv2", "layer1.0.conv22", false}, {"*.conv?", "layer1.0.conv2", true},
		{"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbX", false}, {"**a**", "bab", true}, {"[a]", "a", false},
		{strings.Repeat("a*", 100) + "b", strings.Repeat("a", 10_000), false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%.20q, %.20q): got %v", c.pattern, c.name, got)
		}
	}
}

// FuzzMatch holds the loop against the obvious recursion.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "aXbYc")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 {
			return
		}
		if got, want := match(pattern, name), obvious(pattern, name); got != want {
			t.Errorf("match(%q, %q): got %v", pattern, name, got)
		}
	})
}

func obvious(p, n string) bool {
	switch {
	case p == "":
		return n == ""
	case p[0] == '*':
		return obvious(p[1:], n) || n != "" && obvious(p, n[1:])
	}
	return n != "" && (p[0] == '?' || p[0] == n[0]) && obvious(p[1:], n[1:])
}

func TestRulesAndSplitsAreRead(t *testing.T) {
	if r, err := ParseRule("layer*.conv2=vulkan:0"); err != nil || r != (Rule{"layer*.conv2", "vulkan:0"}) {
		t.Errorf("got %v, %v", r, err)
	}
	for _, bad := range []string{"", "x", "=cpu", "x="} {
		if _, err := ParseRule(bad); !contains(err, "PATTERN=DEVICE") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	for _, s := range []Split{Auto, ByGraph, ByBatch} {
		if got, err := ParseSplit(s.String()); got != s || err != nil {
			t.Errorf("%v: got %v, %v", s, got, err)
		}
	}
	if _, err := ParseSplit("rows"); !contains(err, "auto, graph or batch") {
		t.Errorf("got %v", err)
	}
}

// TestAFusedNodeIsFoundByItsLayer: the passes leave no node of the name conv2.
func TestAFusedNodeIsFoundByItsLayer(t *testing.T) {
	g := fused(t, "resnet50", 1, 64)
	n := 0
	for _, node := range g.Nodes {
		if (Rule{"layer*.conv2", ""}).fits(node) {
			n++
			if !strings.HasSuffix(node.Name, ".relu2") {
				t.Errorf("the rule fits %q", node.Name)
			}
		}
	}
	if n != 16 {
		t.Errorf("the rule fits %d nodes, want 16", n)
	}
}
