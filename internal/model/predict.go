package model

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Prediction is one class with its score.
type Prediction struct {
	Index       int     `json:"index"`
	Label       string  `json:"label"`
	Probability float64 `json:"probability"` // softmax of the logits, 0 to 1
	Logit       float32 `json:"logit"`
}

// Class returns the index of a class by its label, whatever the case, or by its number.
//
// Errors: no such class, with labels that have the text in them.
func (m *Model) Class(name string) (int, error) {
	var near []string
	for i, l := range m.Labels {
		if strings.EqualFold(l, name) {
			return i, nil
		}
		if strings.Contains(strings.ToLower(l), strings.ToLower(name)) {
			near = append(near, l)
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(m.Labels) {
		return i, nil
	}
	if len(near) == 0 {
		return 0, fmt.Errorf("find class: want a label of %s or a number of 0 to %d, got %q", m.Name, len(m.Labels)-1, name)
	}
	return 0, fmt.Errorf("find class: %s has no label %q; near it are %s", m.Name, name, strings.Join(near[:min(len(near), 6)], ", "))
}

// Top returns the k classes of the highest logits, best first; of equal ones the lower index is first.
//
// Errors: another number of logits than classes, or one that is not a finite number.
func (m *Model) Top(logits []float32, k int) ([]Prediction, error) {
	if len(logits) != len(m.Labels) {
		return nil, fmt.Errorf("rank classes: want %d logits, got %d", len(m.Labels), len(logits))
	}
	highest := math.Inf(-1)
	for i, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("rank classes: want finite logits, got %v for class %d (%s)", v, i, m.Labels[i])
		}
		highest = math.Max(highest, float64(v))
	}
	var sum float64
	order := make([]int, len(logits))
	for i, v := range logits {
		sum += math.Exp(float64(v) - highest)
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return logits[order[a]] > logits[order[b]] })
	top := make([]Prediction, min(max(k, 0), len(order)))
	for r := range top {
		i := order[r]
		top[r] = Prediction{i, m.Labels[i], math.Exp(float64(logits[i])-highest) / sum, logits[i]}
	}
	return top, nil
}
