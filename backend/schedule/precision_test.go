package schedule

import (
	"reflect"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// narrow is an executable that only tells its precisions.
type narrow struct {
	backend.Executable
	stored map[string]backend.Precision
}

func (n narrow) Precisions() map[string]backend.Precision { return n.stored }

func TestPrecisionsOfThePartsAreTold(t *testing.T) {
	const f32, f16 = graph.Float32, graph.Float16
	part := func(stored map[string]backend.Precision) compiledPart {
		return compiledPart{exec: narrow{stored: stored}}
	}
	p := &program{routes: []*route{
		{parts: []compiledPart{part(map[string]backend.Precision{"a": {Operands: f32, Parameters: f32, Result: f16}}), {exec: nil}}},
		{parts: []compiledPart{part(map[string]backend.Precision{
			"a": {Operands: f16, Parameters: f32, Result: f32, Truncated: true}, "b": {Operands: f16, Parameters: f16, Result: f16, HalfTerms: 16},
		})}},
		{parts: []compiledPart{part(map[string]backend.Precision{"b": {Operands: f16, Parameters: f16, Result: f16, HalfTerms: 8}})}},
	}}
	want := map[string]backend.Precision{
		"a": {Operands: f16, Parameters: f32, Result: f16, Truncated: true}, "b": {Operands: f16, Parameters: f16, Result: f16, HalfTerms: 16},
	}
	if got := p.precisions(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
