package schedule

// report makes the printable form of a layout.
func (d *Device) report(l *layout, measured bool) *Plan {
	s := l.survey
	p := &Plan{Graph: s.g.Name, Batch: max(l.batch, 1), Split: l.split, Fallback: append([]string{}, s.strays...), Unused: []string{}, Optimal: true, Measured: measured}
	for i, n := range s.g.Nodes {
		if !s.live[i] {
			p.Unused = append(p.Unused, n.Name)
		}
	}
	for m, c := range s.members {
		info := d.members[c.id].dev.Info()
		pd := PlanDevice{Name: c.name, Backend: info.Backend, Device: info.Name, Chosen: c.chosen, Rates: c.rates}
		for i := range s.refused {
			if s.refused[i][m] != nil {
				pd.Refused++
			}
		}
		p.Devices = append(p.Devices, pd)
	}
	for _, r := range l.routes {
		p.Routes = append(p.Routes, r.report())
		p.Nanos = max(p.Nanos, r.nanos)
		p.Optimal = p.Optimal && r.exact
	}
	return p
}

func (r *routePlan) report() Route {
	out := Route{First: r.first, Batch: r.share, Chunk: r.chunk, Parts: []Part{}, Nanos: r.nanos}
	for _, p := range r.parts {
		part := Part{Device: r.survey.members[p.member].name, Nanos: p.nanos, In: []Transfer{}, Out: []Transfer{}}
		for _, n := range p.nodes {
			part.Nodes = append(part.Nodes, n.Name)
			part.FLOPs += n.Cost().FLOPs
		}
		out.Parts = append(out.Parts, part)
	}
	for _, s := range r.flow.steps {
		if s.kind == runPart {
			continue
		}
		b, part := r.flow.bufs[s.buf], &out.Parts[s.part]
		bytes := int64(b.value.Type.SizeBytes())
		t := Transfer{b.value.Name, bytes, r.survey.members[b.member].rates.move(bytes)}
		if s.kind == upload {
			part.In = append(part.In, t)
		} else {
			part.Out = append(part.Out, t)
		}
	}
	return out
}
