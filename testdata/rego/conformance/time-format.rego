# opa: ["2024-02-29T12:34:56Z","Thu, 29 Feb 2024 13:34:56 +0100","2024-02-29"]
package t

result := [time.format(1709210096000000000), time.format([1709210096000000000, "Europe/Berlin", "RFC1123Z"]), time.format([1709210096000000000, "UTC", "2006-01-02"])]
