package plan

import (
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/shaders"
)

// TestPartsOfADispatchAreAllOfIt: each workgroup is in one part, parts differ by one workgroup row at most, and rows are divided only where there is one.
func TestPartsOfADispatchAreAllOfIt(t *testing.T) {
	for _, groups := range [][3]uint32{{1, 1, 1}, {7, 1, 1}, {100, 1, 1}, {100, 3, 1}, {100, 1, 3}, {5, 8, 2}, {5, 2, 9}, {65535, 2, 1}} {
		for _, n := range []int{1, 2, 3, 7, 64, 1000} {
			t.Run(fmt.Sprint(groups, n), func(t *testing.T) {
				p := &Plan{Steps: []*Step{{Variant: &shaders.Variant{}, Groups: groups, Bindings: []Ref{{}}}}}
				list := Dispatch{Step: p.Steps[0]}.Divide(p, n)
				if len(list) > n || p.Steps[0].Pieces != (len(list) > 1) {
					t.Fatalf("got %d parts, pieces %v", len(list), p.Steps[0].Pieces)
				}
				if len(list) == 1 {
					if d := list[0]; d.Part != nil {
						t.Errorf("got %v, want the whole", d)
					}
					return
				}
				var at [3]uint32
				var least, most uint32 = 1 << 31, 0
				axis := -1
				for _, c := range list {
					part := c.Part
					for i := range 3 {
						if part.Groups[i] != groups[i] {
							if axis >= 0 && axis != i {
								t.Fatalf("%v: divided along two dimensions", c)
							}
							axis = i
						} else if part.Base[i] != 0 {
							t.Fatalf("%v: all of dimension %d, and not from its beginning", c, i)
						}
					}
					if part.Base[axis] != at[axis] || part.Groups[axis] == 0 {
						t.Fatalf("%v: want it to begin at %d", c, at[axis])
					}
					at[axis] += part.Groups[axis]
					least, most = min(least, part.Groups[axis]), max(most, part.Groups[axis])
				}
				if at[axis] != groups[axis] || most-least > 1 || axis == 0 && groups[1] > 1 {
					t.Errorf("%d of %d workgroups along dimension %d, %d to %d in a part", at[axis], groups[axis], axis, least, most)
				}
			})
		}
	}
}
