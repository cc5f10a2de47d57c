// Command schedule-reference answers for the library that Kubernetes' CronJob controller uses. It is
// what `cronwright schedule` is compared with, and nothing else.
//
// Without arguments it reads lines of JSON {"expression", "timeZone", "from", "count"} and writes a
// line for each: {"error": "…"} or {"times": […]} in RFC 3339. With "bench EXPRESSION ZONE FROM
// SECONDS" it prints how many next times it computes in a second.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// As tests/bench/next.c does it.
const batch = 40

type question struct {
	Expression string    `json:"expression"`
	TimeZone   string    `json:"timeZone"`
	From       time.Time `json:"from"`
	Count      int       `json:"count"`
}

type answer struct {
	Error string   `json:"error,omitempty"`
	Times []string `json:"times"`
}

// parse does what the API server does when a CronJob is made, and then what the controller does.
func parse(expression, zone string) (cron.Schedule, error) {
	if strings.Contains(expression, "TZ") {
		return nil, fmt.Errorf("cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
	}
	if _, err := cron.ParseStandard(expression); err != nil {
		return nil, err
	}
	return cron.ParseStandard("TZ=" + zone + " " + expression)
}

func ask(q question) answer {
	schedule, err := parse(q.Expression, q.TimeZone)
	if err != nil {
		return answer{Error: err.Error()}
	}
	times := []string{}
	for at := schedule.Next(q.From); !at.IsZero() && len(times) < q.Count; at = schedule.Next(at) {
		times = append(times, at.UTC().Format(time.RFC3339))
	}
	return answer{Times: times}
}

func bench(arguments []string) error {
	schedule, err := parse(arguments[0], arguments[1])
	if err != nil {
		return err
	}
	from, err := time.Parse(time.RFC3339, arguments[2])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(arguments[3], 64)
	if err != nil {
		return err
	}
	begin, count := time.Now(), 0
	for time.Since(begin).Seconds() < seconds {
		at := from
		for i := 0; i < batch; i++ {
			at = schedule.Next(at)
		}
		count += batch
	}
	fmt.Printf("%.0f\n", float64(count)/time.Since(begin).Seconds())
	return nil
}

func answerAll() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(ask(q)); err != nil {
			return err
		}
	}
	return in.Err()
}

func main() {
	run := answerAll
	if len(os.Args) == 6 && os.Args[1] == "bench" {
		run = func() error { return bench(os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schedule-reference:", err)
		os.Exit(1)
	}
}
