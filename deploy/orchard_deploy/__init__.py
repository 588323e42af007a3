"""Getting the job to where it runs: images, applications, submissions, costs."""
