package vulkan

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/shaders"
)

// mixed is a network whose second and third layer stay float32, so that types are changed both ways.
func mixed(t *testing.T) *graph.Graph { return chain(t, 3, 1, 1e4, 1e-3, 1) }

// conversionProofs are the outcomes of the kernels between float16 and float32.
func conversionProofs(d *device) map[string]tune.Proof {
	found := map[string]tune.Proof{}
	for _, p := range d.outcomes.known.Proofs() {
		if p.Kernel == "narrow_f16" || p.Kernel == "widen_f16" {
			found[p.Kernel] = p
		}
	}
	return found
}

// TestConversionsAreProved: those that a plan has, and no others.
func TestConversionsAreProved(t *testing.T) {
	eachFreshDevice(t, Options{Precision: Half, NoCache: true}, func(t *testing.T, d *device) {
		execute(t, d, chain(t, 3, 1, 1), seededInput(chain(t, 3, 1, 1)))
		if got := conversionProofs(d); len(got) > 0 {
			t.Errorf("got %v, want nothing of a network that is float16 throughout", got)
		}
		execute(t, d, mixed(t), seededInput(mixed(t)))
		got := conversionProofs(d)
		for _, name := range []string{"narrow_f16", "widen_f16"} {
			if p := got[name]; p.Struck || !(p.Error > 0 && p.Error <= 1) { // rounding shows
				t.Errorf("%s: got %+v, want it proved, with an error within its bound", name, p)
			}
		}
	})
}

// TestAWrongConversionKeepsAllInFloat32: it is struck off by name, and the results are right without it, also those of later compilations.
func TestAWrongConversionKeepsAllInFloat32(t *testing.T) {
	g := mixed(t)
	x := seededInput(g)
	want, err := reference.Eval(t.Context(), g, map[string][]float64{"x": reference.Widen(x[0])})
	if err != nil {
		t.Fatal(err)
	}
	for wrong, other := range map[string]string{"narrow_f16": "pack_f16", "widen_f16": "unpack_f16"} { // they take the layout for another
		t.Run(wrong, func(t *testing.T) {
			var log bytes.Buffer
			o := Options{Precision: Half, NoCache: true, Logger: slog.New(slog.NewTextHandler(&log, nil)), spirv: func(v *shaders.Variant) []uint32 {
				if v.Name == wrong {
					return shaders.Lookup(other).SPIRV()
				}
				return v.SPIRV()
			}}
			eachFreshDevice(t, o, func(t *testing.T, d *device) {
				log.Reset()
				for range 2 {
					r := execute(t, d, g, x)
					if len(r.Precisions) > 0 {
						t.Errorf("got %v, want all in float32", r.Precisions)
					}
					if e := golden.L2Error(reference.Widen(r.Outputs[0]), want[g.Outputs[0].Name]); !(e <= 1e-5) {
						t.Errorf("relative L2 error: got %g, want at most 1e-5", e)
					}
				}
				if p := conversionProofs(d)[wrong]; !p.Struck || p.Shape != "" {
					t.Errorf("got %+v, want it struck off for all shapes", p)
				}
				if text := log.String(); strings.Count(text, "kernel="+wrong) != 1 || !strings.Contains(text, "all layers stay float32") {
					t.Errorf("the log: %s", text)
				}
				if r := execute(t, d, chain(t, 3, 1, 1), seededInput(g)); len(r.Precisions) != 2 {
					t.Errorf("a network that is float16 throughout: got %v", r.Precisions)
				}
			})
		})
	}
}
