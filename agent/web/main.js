document.getElementById("main").append("cronwright");
