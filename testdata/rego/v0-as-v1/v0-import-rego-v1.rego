package t

result if 1 in [1]
