package facts_test

import (
	"encoding/binary"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
)

func TestSubgroupOf(t *testing.T) {
	base := []uint32{32, 0x21, 0x0f, 1}
	plain := facts.Subgroup{Size: 32, Stages: 0x21, Operations: 0x0f, Min: 32, Max: 32}
	sized := plain
	sized.Min, sized.Max, sized.MaxWorkgroupSubgroups = 8, 64, 16
	chosen := sized
	chosen.RequiredSize = true
	for _, c := range []struct {
		sizes   []uint32
		control bool
		want    facts.Subgroup
	}{
		{nil, false, plain},
		{nil, true, plain},
		{[]uint32{8, 64, 16, 0x20}, true, chosen},
		{[]uint32{8, 64, 16, 0x20}, false, sized},
		{[]uint32{8, 64, 16, 0x10}, true, sized}, // fragment shaders only
		{[]uint32{0, 0, 0, 0x20}, true, plain},   // a driver that left the struct alone
		{[]uint32{64, 8, 16, 0x20}, true, plain}, // nonsense
	} {
		if got := facts.SubgroupOf(base, c.sizes, c.control); got != c.want {
			t.Errorf("sizes %v, control %v: %+v, want %+v", c.sizes, c.control, got, c.want)
		}
	}
}

func TestDriverOf(t *testing.T) {
	b := make([]byte, 520)
	binary.NativeEndian.PutUint32(b, 3)
	copy(b[4:], "radv\x00left over")
	for k := range 256 { // not terminated
		b[260+k] = 'x'
	}
	copy(b[516:], []byte{1, 2, 3, 4})
	got := facts.DriverOf(b, 77)
	if got.ID != facts.DriverRADV || got.Name != "radv" || len(got.Info) != 256 || got.Version != 77 || got.Conformance != [4]uint8{1, 2, 3, 4} {
		t.Errorf("%+v", got)
	}
}

func TestMultiprocessorsOf(t *testing.T) {
	for _, c := range []struct {
		structs [][]uint32
		want    int
	}{
		{[][]uint32{nil, nil, nil}, 0},
		{[][]uint32{{132, 64}, nil, nil}, 132},
		{[][]uint32{nil, {1, 96}, nil}, 96},
		{[][]uint32{nil, nil, {0xf, 0, 4, 48}}, 4},
		{[][]uint32{nil, {1, 0xffffffff}, nil}, 0}, // nonsense
	} {
		if got := facts.MultiprocessorsOf(c.structs); got != c.want {
			t.Errorf("%v: got %d, want %d", c.structs, got, c.want)
		}
	}
}

func TestDotProductOf(t *testing.T) {
	for k, want := range map[int]facts.DotProduct{
		0: {Int8Unsigned: true}, 1: {Int8Signed: true}, 3: {PackedInt8Unsigned: true}, 4: {PackedInt8Signed: true},
		19: {PackedInt8SignedSaturating: true}, 2: {},
	} {
		words := make([]uint32, 30)
		words[k] = 1
		if got := facts.DotProductOf(words); got != want {
			t.Errorf("word %d: %+v, want %+v", k, got, want)
		}
	}
}
