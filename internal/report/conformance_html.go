package report

import "io"

func writeConformanceHTML(w io.Writer, c Conformance) error { return nil }
