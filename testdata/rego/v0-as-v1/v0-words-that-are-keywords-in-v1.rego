package t

p_if := 1

p_contains := 2

p_every := 3

result := [p_if, p_contains, p_every]
