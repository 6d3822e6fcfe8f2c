package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/shaders"
)

const sampleShader = `#version 450
// a < b in a comment
#define MORE (A < B)
layout(constant_id = 3) const uint R = 1;
layout(push_constant) uniform Geometry { uint count, H, W; };
const uint BM = 64;

void main() {
    uint i = index(H, 2);
    if (i >= count && i < W) return;
    for (uint c = 0; c < min(c0 + step, Cg); c++) sum += x[i * H + c] / 2.0;
    barrier();
    y[i] = live ? -sum : 0.0;
    v.x = px.row % 3u;
}
`

// changes lists what an operator makes of a line, by the added lines of the diffs.
func changes(ms []mutant, operator string) []string {
	var out []string
	for _, m := range ms {
		if m.Operator == operator {
			_, added, _ := strings.Cut(m.Diff, "\n+ ")
			out = append(out, strings.TrimSpace(added))
		}
	}
	return out
}

func TestShaderOperators(t *testing.T) {
	ms := glslMutants("shaders/glsl/sample.comp", sampleShader)
	for operator, want := range map[string][]string{
		"bound": {
			"if (i > count && i < W) return;", "if (i >= count && i <= W) return;",
			"for (uint c = 0; c <= min(c0 + step, Cg); c++) sum += x[i * H + c] / 2.0;",
		},
		"logic":       {"if (i >= count || i < W) return;"},
		"dropbarrier": {";"},
		"dropbound": {
			"for (uint c = 0; c < (c0 + step); c++) sum += x[i * H + c] / 2.0;", "for (uint c = 0; c < (Cg); c++) sum += x[i * H + c] / 2.0;",
		},
		"dropfactor": {
			"for (uint c = 0; c < min(c0 + step, Cg); c++) sum += x[i  + c] / 2.0;", "for (uint c = 0; c < min(c0 + step, Cg); c++) sum += x[i * H + c] ;",
			"v.x = px.row ;",
		},
		"dropcondition": {"if (i >= count ) return;", "if ( i < W) return;"},
		"swizzle":       {"v.y = px.row % 3u;"},
		"overwrite":     {"for (uint c = 0; c < min(c0 + step, Cg); c++) sum = x[i * H + c] / 2.0;"},
		"step":          {"for (uint c = 0; c < min(c0 + step, Cg); c += 2) sum += x[i * H + c] / 2.0;"},
		"dropstatement": {";", "for (uint c = 0; c < min(c0 + step, Cg); c++) ;", ";", ";"},
	} {
		got := changes(ms, operator)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", operator, got, want)
		}
	}
	if got := changes(ms, "negate"); !slices.Contains(got, "y[i] = live ? 0.0 : -sum;") || !slices.Contains(got, "if (!(i >= count && i < W)) return;") {
		t.Errorf("negate: got %q", got)
	}
	if got := changes(ms, "sign"); !slices.Contains(got, "y[i] = live ? sum : 0.0;") {
		t.Errorf("sign: got %q", got)
	}
	if got := changes(ms, "constant"); !slices.Contains(got, "const uint BM = 63;") || !slices.Contains(got, "v.x = px.row % 4u;") {
		t.Errorf("constant: got %q", got)
	}
	for _, m := range ms {
		for _, kept := range []string{"// a < b in a comment", "#define MORE (A < B)", "layout(constant_id = 3) const uint R = 1;", "uniform Geometry { uint count, H, W; };"} {
			if !strings.Contains(m.source, kept) {
				t.Errorf("%s changes what is no code of a function: %q", m.ID, kept)
			}
		}
	}
}

const sampleGo = `package p

func f(a, b int) (int, error) {
	if a < b && b > 0 {
		return 0, fmt.Errorf("want %d", a+b)
	}
	if err := g(a, b); err != nil {
		return 1, err
	}
	p.at += a * b
	list := []uint32{u(a), u(b), 3}
	list = append(list, 4)
	return max(len(list), a), nil
}

func other(a int) int { return a + 1 }
`

// TestBlocksOfFunctionsAreMutated has a file that is included in a function.
func TestBlocksOfFunctionsAreMutated(t *testing.T) {
	got := changes(glslMutants("shaders/glsl/part.glsl", "// a block\n{\n    sum += x;\n}\n"), "sign")
	if !slices.Equal(got, []string{"sum -= x;"}) {
		t.Errorf("got %q", got)
	}
}

func TestGoOperators(t *testing.T) {
	ms, err := goMutants("p.go", sampleGo, []string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	for operator, want := range map[string][]string{
		"bound":      {"if a <= b && b > 0 {", "if a < b && b >= 0 {"},
		"logic":      {"if a < b || b > 0 {"},
		"arithmetic": {"p.at += a + b"},
		"overwrite":  {"p.at = a * b"},
		"dropappend": {"list = list"},
		"minmax":     {"return min(len(list), a), nil"},
		"swap":       {"list := []uint32{u(b), u(a), 3}", "list := []uint32{u(a), 3, u(b)}"},
	} {
		got := changes(ms, operator)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", operator, got, want)
		}
	}
	for _, m := range ms {
		for _, kept := range []string{`fmt.Errorf("want %d", a+b)`, "err != nil", "return a + 1"} {
			if !strings.Contains(m.source, kept) {
				t.Errorf("%s changes %q", m.ID, kept)
			}
		}
	}
	if _, err := goMutants("p.go", sampleGo, []string{"gone"}); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a function that is not there: got %v", err)
	}
}

// TestIDsDoNotDependOnOtherLines inserts lines before and after.
func TestIDsDoNotDependOnOtherLines(t *testing.T) {
	ids := func(src string) map[string]bool {
		out := map[string]bool{}
		for _, m := range glslMutants("shaders/glsl/sample.comp", src) {
			if out[m.ID] {
				t.Errorf("ID %s twice", m.ID)
			}
			out[m.ID] = true
		}
		return out
	}
	before := ids(sampleShader)
	after := ids(strings.Replace(sampleShader, "void main() {\n", "// more\nvoid main() {\n    float more = 1.0;\n    more += 2.0;\n", 1))
	if len(after) <= len(before) {
		t.Errorf("got %d mutants with more lines, want more than %d", len(after), len(before))
	}
	for id := range before {
		if !after[id] {
			t.Errorf("%s is gone", id)
		}
	}
}

// TestTheTreeHasMutants holds the lists of functions, mistakes and reasons against the tree: what they name must be there.
func TestTheTreeHasMutants(t *testing.T) {
	root := filepath.Join("..", "..")
	all, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	seen, files, byHand := map[string]bool{}, map[string]int{}, 0
	for _, m := range all {
		if seen[m.ID] {
			t.Errorf("ID %s twice", m.ID)
		}
		seen[m.ID] = true
		files[m.File]++
		if m.Why != "" {
			byHand++
		}
		if m.Diff == "" || m.source == "" {
			t.Errorf("%s has no change", m.ID)
		}
	}
	if byHand != len(mistakes) {
		t.Errorf("%d mutants by hand, want %d", byHand, len(mistakes))
	}
	shaders, err := filepath.Glob(filepath.Join(root, glslDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shaders {
		name := glslDir + filepath.Base(s)
		if why := cmp.Or(unmeasured[filepath.Base(s)], unbreakable[filepath.Base(s)]); why != "" {
			if files[name] > 0 {
				t.Errorf("%s has %d mutants, want none: %s", name, files[name], why)
			}
		} else if files[name] < 15 {
			t.Errorf("%s has %d mutants, want at least 15", name, files[name])
		}
	}
	reasons, err := readReasons("reasons.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := stale(reasons, all, nil); err != nil {
		t.Errorf("reasons.txt: %v", err)
	}
}

// TestEverySourceIsMeasuredOrSaidNotToBe compares the list of what is left out with the variants that run.
func TestEverySourceIsMeasuredOrSaidNotToBe(t *testing.T) {
	b := &builder{root: filepath.Join("..", "..")}
	sources, err := filepath.Glob(filepath.Join(b.root, glslDir, "*"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	for _, s := range sources {
		name := filepath.Base(s)
		users, err := b.users(glslDir + name)
		if err != nil {
			t.Fatal(err)
		}
		if len(users) == 0 != (unmeasured[name] != "") {
			t.Errorf("%s: %d variants run, and it is left out for %q", name, len(users), unmeasured[name])
		}
	}
	for name := range opsOf {
		if !slices.ContainsFunc(shaders.Manifest, func(v shaders.Variant) bool { return v.Name == name }) {
			t.Errorf("opsOf: no variant %s", name)
		}
	}
	for v := range opsOf {
		for _, k := range forcedBy(v) {
			_, products, wino := strings.Cut(k, "_conv2d_")
			if wino {
				k = "conv2d_" + products
			}
			if !slices.ContainsFunc(shaders.Manifest, func(m shaders.Variant) bool { return m.Name == k }) {
				t.Errorf("%s is forced by %s, which is not there", v, k)
			}
		}
	}
}

func TestSampleAndShard(t *testing.T) {
	all := glslMutants("shaders/glsl/sample.comp", sampleShader)
	some := sample(all, 7)
	if len(some) != 7 || len(sample(all, 0)) != len(all) || len(sample(all, len(all)+1)) != len(all) {
		t.Errorf("sample of 7 has %d", len(some))
	}
	byHand := append([]mutant{{ID: "x", File: "y", Why: "z"}}, all...)
	if got := sample(byHand, 1); len(got) != 2 || got[0].ID != "x" {
		t.Errorf("one of each file, and that by hand: got %v", got)
	}
	for i, m := range sample(all, 7) {
		if m.ID != some[i].ID {
			t.Error("two samples differ")
		}
	}
	n := 0
	for i := range 3 {
		n += len(shard(all, i+1, 3))
	}
	if n != len(all) {
		t.Errorf("three shards have %d of %d mutants", n, len(all))
	}
}

// TestTransformedCasesComeFirst: of the cases that a mutant of Winograd's kernels sees first, all are computed by them, with a
// shortcut and without, with ReLU and without.
func TestTransformedCasesComeFirst(t *testing.T) {
	for name, want := range map[string]bool{
		"conv2d/n2-c9-h3-w4-k12-g1/r3-s3-stride1,1-pad0,0,0,0-dil1,1/bias-add-relu": true, "conv2d/n2-c9-h3-w4-k4-g1/r3-s3-stride1,1-pad1,0,0,1-dil1,1/plain": true,
		"conv2d/n1-c9-h3-w4-k132-g1/r3-s3-stride1,1-pad0,0,0,0-dil1,1/plain": true, "conv2d/n2-c9-h3-w4-k14-g1/r3-s3-stride1,1-pad0,0,0,0-dil1,1/plain": false,
		"conv2d/n2-c9-h3-w4-k12-g2/r3-s3-stride1,1-pad0,0,0,0-dil1,1/plain": false, "conv2d/n2-c9-h3-w4-k12-g1/r3-s3-stride1,2-pad0,0,0,0-dil1,1/plain": false,
		"conv2d/n2-c9-h3-w4-k34-g1/r3-s3-stride1,1-pad0,0,0,0-dil1,1/plain": false, "conv2d/n2-c9-h3-w4-k12-g1/r3-s3-stride1,1-pad0,0,0,0-dil1,2/plain": false,
	} {
		if got := transformed.MatchString(name); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	seen := map[string]bool{}
	for _, s := range (suite{conformance.Cases()}).shaderStages([]string{"winograd_output4_f32"}) {
		if !isWinograd(s.Options) {
			t.Errorf("%s: no kernel of Winograd is asked for", s.Name)
		}
		for _, c := range s.Cases {
			if !s.First {
				continue
			}
			at := strings.LastIndex(c, "/")
			seen[c[strings.LastIndex(c[:at], "/")+1:at]] = true
			if !transformed.MatchString(c) {
				t.Errorf("%s: %s is not for these kernels", s.Name, c)
			}
		}
	}
	if !seen["plain"] || !seen["add"] || !seen["bias-relu"] || !seen["bias-add-relu"] {
		t.Errorf("got only %v", seen)
	}
}

// TestAccessesAreCheckedAtTails: what lies beyond the last channel is reached only where channels do not fill vectors.
func TestAccessesAreCheckedAtTails(t *testing.T) {
	checked := 0
	for _, s := range (suite{conformance.Cases()}).shaderStages([]string{"unpack_f32"}) {
		if s.InBounds {
			checked += len(s.Cases)
			for _, c := range s.Cases {
				if !tails.MatchString(c) {
					t.Errorf("%s: %s has no tail", s.Name, c)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no case")
	}
}

// TestFencesStandBehindTails: a kernel that leaves its tensor does so where channels do not fill vectors.
func TestFencesStandBehindTails(t *testing.T) {
	for _, v := range []string{"unpack_f32", "conv2d_packed8x4_f16"} {
		fenced := 0
		for _, s := range (suite{conformance.Cases()}).shaderStages([]string{v}) {
			if !s.Options.Fences {
				continue
			}
			if n := len(s.Cases); n != fencedCases || !tails.MatchString(s.Cases[0]) || !s.First {
				t.Errorf("%s: got %d cases, the first %q, early %v", s.Name, n, s.Cases[0], s.First)
			}
			fenced++
		}
		if fenced != 1 {
			t.Errorf("%s: %d stages with fences, want one", v, fenced)
		}
	}
}

func TestSpecialNumbersComeSoon(t *testing.T) {
	s := suite{conformance.Cases()}
	cases := specialSoon(s.pick(conformance.Quick, oneOf([]string{"conv2d"})))
	if got := s.pick(conformance.Quick, oneOf([]string{"conv2d"})); len(got) != len(cases) {
		t.Fatalf("%d cases of %d", len(cases), len(got))
	}
	soon := 0
	for i, c := range cases[:firstCases] {
		if special.MatchString(c) {
			soon++
		} else if i >= glanceCases-1 && soon < 7 {
			t.Errorf("case %d is %s, after %d special ones", i, c, soon)
		}
	}
	if soon < 7 || special.MatchString(cases[0]) || !special.MatchString(cases[glanceCases-1]) {
		t.Errorf("%d special cases among the first: %v", soon, cases[:firstCases])
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c] {
			t.Errorf("%s stands twice", c)
		}
		seen[c] = true
	}
}
