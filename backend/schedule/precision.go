package schedule

import (
	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

var _ backend.MixedPrecision = (*executable)(nil)

// Precisions returns what the members say of the parts that they were given; nil after Close. It changes when a member is
// lost and others take over its parts.
func (e *executable) Precisions() map[string]backend.Precision {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.program == nil {
		return nil
	}
	return e.program.precisions()
}

// precisions merges what the parts say. Where several shares of the batch store a node's tensors in different types it tells the
// narrower of each, which has the wider bound.
func (p *program) precisions() map[string]backend.Precision {
	narrower := func(a, b graph.DType) graph.DType {
		if b == graph.Float16 {
			return b
		}
		return a
	}
	all := map[string]backend.Precision{}
	for _, r := range p.routes {
		for _, c := range r.parts {
			m, ok := c.exec.(backend.MixedPrecision)
			if !ok {
				continue
			}
			for node, how := range m.Precisions() {
				if old, there := all[node]; there {
					how = backend.Precision{
						Operands: narrower(how.Operands, old.Operands), Parameters: narrower(how.Parameters, old.Parameters),
						Result: narrower(how.Result, old.Result), Truncated: how.Truncated || old.Truncated,
						HalfTerms: max(how.HalfTerms, old.HalfTerms),
					}
				}
				all[node] = how
			}
		}
	}
	return all
}
