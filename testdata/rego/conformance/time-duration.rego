# opa: [5400000000000,1500000000,-5000000]
package t

result := [time.parse_duration_ns("1h30m"), time.parse_duration_ns("1.5s"), time.parse_duration_ns("-5ms")]
