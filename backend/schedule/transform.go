package schedule

import (
	"github.com/resnet-run/resnet-run/backend"
)

var _ backend.Transformer = (*executable)(nil)

// Transforms returns what the members say of the parts that they were given; nil after Close. It changes when a member is
// lost and others take over its parts.
func (e *executable) Transforms() map[string]backend.Winograd {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.program == nil {
		return nil
	}
	return e.program.transforms()
}

// transforms merges what the parts say. Of a node that several shares of the batch compute through different transforms
// it tells the one with more points, which has the wider bound.
func (p *program) transforms() map[string]backend.Winograd {
	all := map[string]backend.Winograd{}
	for _, r := range p.routes {
		for _, c := range r.parts {
			t, ok := c.exec.(backend.Transformer)
			if !ok {
				continue
			}
			for node, how := range t.Transforms() {
				if old, there := all[node]; !there || len(how.Rows)+len(how.Columns) > len(old.Rows)+len(old.Columns) {
					all[node] = how
				}
			}
		}
	}
	return all
}
