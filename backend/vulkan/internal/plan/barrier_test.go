package plan

import (
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestUnreadValueHasItsBarrier: a value that nothing reads shares its memory with the next one, and no read stands between
// the two writes. No driver at hand shows what happens without a barrier there, nor does the validation layer.
func TestUnreadValueHasItsBarrier(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[2,3,5,4]\n%dead = relu(%x)\n%a = add(%x, %x)\n%s = relu(%a)\noutput %s\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Build(Floor(), Options{}, g)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 3 || p.Steps[0].write() != p.Steps[1].write() {
		t.Fatalf("want the first two values at the same place, got\n%s", p.Dump())
	}
	if _, ok := p.Commands[1].(Barrier); !ok {
		t.Errorf("want a barrier after the first dispatch, got\n%s", p.Dump())
	}
	if last, ok := p.Commands[len(p.Commands)-1].(Barrier); !ok || !last.Host {
		t.Errorf("want a barrier for the host at the end, got\n%s", p.Dump())
	}
}

// TestTexelViewsReachFurther: a texel view may be longer than what its kernel reads, and who writes right behind that waits for it.
func TestTexelViewsReachFurther(t *testing.T) {
	reader := &Step{Variant: variant("global_avg_pool_packed_f32"), Bindings: []Ref{{ArenaSpace, 0, 0, 160}, {ArenaSpace, 0, 4096, 160}}}
	writer := func(offset uint64) *Step {
		return &Step{Variant: variant("relu_f32"), Bindings: []Ref{{ArenaSpace, 0, 8192, 160}, {ArenaSpace, 0, offset, 160}}}
	}
	for offset, want := range map[uint64]int{160: 4, 160 + viewStep - 1: 4, 160 + viewStep: 3, 160 + viewStep - 1 + viewPeriod: 3} {
		if got := track([]Command{Dispatch{0, reader}, Dispatch{1, writer(offset)}}); len(got) != want {
			t.Errorf("a write at %d: got %v, want %d commands", offset, got, want)
		}
	}
}
