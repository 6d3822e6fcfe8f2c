package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan"
)

// TestProofBar draws nothing for proofs that are soon made, and clears its line at the end of others.
func TestProofBar(t *testing.T) {
	tell := func(p *proofBar, device string, total int) {
		for i := range total + 1 {
			p.on(vulkan.ProofEvent{Device: device, Done: i, Total: total})
		}
	}
	var out bytes.Buffer
	tell(&proofBar{w: &out, patience: time.Hour}, "GPU", 9)
	if out.Len() > 0 {
		t.Errorf("soon made: got %q", out.String())
	}
	p := &proofBar{w: &out}
	p.on(vulkan.ProofEvent{Device: "GPU\x1b[2J", Done: 0, Total: 3})
	p.on(vulkan.ProofEvent{Device: "another", Done: 0, Total: 7}) // compiles at the same time
	p.on(vulkan.ProofEvent{Device: "GPU\x1b[2J", Done: 1, Total: 3})
	p.on(vulkan.ProofEvent{Device: "another", Done: 7, Total: 7})
	text := out.String()
	if !strings.Contains(text, "proving kernels on GPU") || !strings.Contains(text, "/3)") || strings.Contains(text, "another") || strings.Contains(text, "\x1b[2J") {
		t.Errorf("got %q, want a bar for the device that began, without its control characters", text)
	}
	out.Reset()
	p.on(vulkan.ProofEvent{Device: "GPU\x1b[2J", Done: 3, Total: 3})
	if text := out.String(); !strings.HasSuffix(text, "\x1b[2K\r") && strings.TrimSpace(strings.Trim(text, "\r")) != "" {
		t.Errorf("at the end: got %q, want the line cleared", text)
	}
	if p.of != "" || p.bar != nil {
		t.Error("the bar is still there")
	}
	out.Reset()
	tell(p, "another", 2)
	if !strings.Contains(out.String(), "proving kernels on another") {
		t.Errorf("the next device: got %q", out.String())
	}
}
