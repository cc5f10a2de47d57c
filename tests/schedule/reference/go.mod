// The library that Kubernetes' CronJob controller uses, in the version that it uses.
module cronwright.io/schedule-reference

go 1.24

require github.com/robfig/cron/v3 v3.0.1
