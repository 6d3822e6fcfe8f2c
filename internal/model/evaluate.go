package model

import "fmt"

// Evaluation counts how often a model is right on labelled pictures. Make it with [Model.NewEvaluation].
type Evaluation struct {
	Pictures int     `json:"pictures"` // that were classified
	Top1     float64 `json:"top1"`     // share with the right class first, 0 to 1; 0 without pictures
	Top5     float64 `json:"top5"`     // share with the right class among the first five
	PerClass []Class `json:"per_class"`
	// Confusion has [right class][predicted class]; nil for more than [MaxConfusion] classes.
	Confusion [][]int `json:"confusion"`

	model      *Model
	top1, top5 int
}

// Class is the outcome for the pictures of one class.
type Class struct {
	Index    int     `json:"index"`
	Label    string  `json:"label"`
	Pictures int     `json:"pictures"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"` // Correct/Pictures; 0 without pictures
}

// MaxConfusion is the most classes of a confusion matrix: beyond it nobody reads one, and its square grows out of memory.
const MaxConfusion = 2048

// NewEvaluation starts to count.
func (m *Model) NewEvaluation() *Evaluation {
	e := &Evaluation{model: m, PerClass: make([]Class, len(m.Labels))}
	for i, l := range m.Labels {
		e.PerClass[i] = Class{Index: i, Label: l}
	}
	if len(m.Labels) <= MaxConfusion {
		e.Confusion = make([][]int, len(m.Labels))
		for i := range e.Confusion {
			e.Confusion[i] = make([]int, len(m.Labels))
		}
	}
	return e
}

// Add counts one picture of the given class.
//
// Errors: those of [Model.Top], and a class that the model has not; the picture is not counted then.
func (e *Evaluation) Add(class int, logits []float32) error {
	if class < 0 || class >= len(e.PerClass) {
		return fmt.Errorf("count picture: want a class of 0 to %d, got %d", len(e.PerClass)-1, class)
	}
	top, err := e.model.Top(logits, 5)
	if err != nil {
		return err
	}
	e.Pictures++
	c := &e.PerClass[class]
	c.Pictures++
	if e.Confusion != nil {
		e.Confusion[class][top[0].Index]++
	}
	if top[0].Index == class {
		e.top1++
		c.Correct++
	}
	for _, p := range top {
		if p.Index == class {
			e.top5++
		}
	}
	c.Accuracy = float64(c.Correct) / float64(c.Pictures)
	e.Top1 = float64(e.top1) / float64(e.Pictures)
	e.Top5 = float64(e.top5) / float64(e.Pictures)
	return nil
}
