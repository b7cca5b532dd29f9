package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// outcome is one line of the report; Count is how many claims or files it speaks of.
type outcome struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	OK    bool   `json:"ok"`
	Why   string `json:"why"`
}

type report struct {
	to     io.Writer
	failed int
}

func (r *report) add(name string, count int, err error) error {
	line := outcome{Name: name, Count: count, OK: err == nil}
	if err != nil {
		r.failed++
		line.Why = err.Error()
	}
	return json.NewEncoder(r.to).Encode(line)
}

// judgeAll reports the claims of one kind in two lines: those that must hold, and those that must be refused.
func judgeAll[T interface{ stated() Claim }](r *report, log, what string, claims []T, judge func(T) error) error {
	for _, holds := range []bool{true, false} {
		count := 0
		var wrong error
		for _, claim := range claims {
			stated := claim.stated()
			if stated.Holds != holds {
				continue
			}
			count++
			if err := judge(claim); (err == nil) != holds && wrong == nil {
				wrong = fmt.Errorf("%s: should hold: %t, but: %v", stated.Label, holds, err)
			}
		}
		if count == 0 {
			continue
		}
		name := fmt.Sprintf("%s: %s accepted", log, what)
		if !holds {
			name = fmt.Sprintf("%s: wrong %s refused", log, what)
		}
		if err := r.add(name, count, wrong); err != nil {
			return err
		}
	}
	return nil
}
