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

// TestTexelViewsReachFurther on drivers that run on the CPU, and who writes right behind one waits for its reader.
func TestTexelViewsReachFurther(t *testing.T) {
	gpu, cpu := Floor(), Floor()
	cpu.SoftwareDriver = true
	const far = 1 << 20
	for _, c := range []struct {
		lim          Limits
		size, behind uint64 // of what is read, and from its end to what is written
		parts        bool
		want         int // commands, with the barrier at the end
	}{
		{cpu, 160, 0, false, 4}, {cpu, 160, viewStep - 16, false, 4}, {cpu, 160, viewStep, false, 3}, {cpu, viewStep, 0, false, 3},
		{cpu, viewPeriod, 0, false, 4}, {cpu, viewPeriod - 16, 0, false, 3}, {cpu, viewPeriod, 0, true, 3}, {gpu, 160, 0, false, 3},
	} {
		reader := &Step{Variant: variant("global_avg_pool_packed_f32"), Parts: c.parts, Bindings: []Ref{{ArenaSpace, 0, 0, c.size}, {ArenaSpace, 0, far, 160}}}
		writer := &Step{Variant: variant("relu_f32"), Bindings: []Ref{{ArenaSpace, 0, 2 * far, 160}, {ArenaSpace, 0, c.size + c.behind, 160}}}
		if got := track(c.lim, []Command{Dispatch{Set: 0, Step: reader}, Dispatch{Set: 1, Step: writer}}); len(got) != c.want {
			t.Errorf("%d bytes, written %d behind them: got %v, want %d commands", c.size, c.behind, got, c.want)
		}
	}
}
